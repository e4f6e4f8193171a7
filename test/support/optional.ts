/** Which of the optional packages load here: each can be missing, and then what needs it is skipped or expected otherwise. */
import { loadLibc } from '../../src/network/libc.js';
import { loadUws } from '../../src/protocols/transport/uws.js';

const loads = (load: () => unknown): boolean => {
  try {
    load();
    return true;
  } catch {
    return false;
  }
};

export const IS_HERE = { koffi: typeof loadLibc() !== 'string', 'uWebSockets.js': loads(loadUws) } as const;
