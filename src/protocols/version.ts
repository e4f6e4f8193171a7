/** What release this is. Found from src/protocols and from the bundle's dist/chunks alike, which a file of src/ would not be. */
import { createRequire } from 'node:module';

export const { version } = createRequire(import.meta.url)('../../package.json') as { readonly version: string };
