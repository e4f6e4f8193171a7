/** A configuration file: YAML, one map of keys. Tells the line of each, for messages. The one import site of yaml. */
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { refuse, type Refusal } from './errors.js';

export interface FileEntry {
  readonly value: unknown;
  /** `gridcast.yaml line 3` */
  readonly origin: string;
}

/** The entries by key; refused where the text is not YAML, repeats a key, or is anything but a map. An empty file is an empty map. */
export function readConfigFile(path: string, text: string): ReadonlyMap<string, FileEntry> | Refusal {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const lineAt = (offset: number): string => `${path} line ${lineCounter.linePos(offset).line}`;
  const [error] = document.errors;
  if (error) return refuse('STATUS_BAD_REQUEST', `${lineAt(error.pos[0])}: ${error.message}.`);
  const entries = new Map<string, FileEntry>();
  const { contents } = document;
  if (contents === null) return entries;
  if (!isMap(contents)) return refuse('STATUS_BAD_REQUEST', `${path} must be a map of keys, such as "http: 8080".`);
  for (const { key, value } of contents.items) {
    const name = isScalar(key) ? String(key.value) : String(key);
    entries.set(name, { value: value === null ? null : value.toJS(document), origin: lineAt(key.range[0]) });
  }
  return entries;
}
