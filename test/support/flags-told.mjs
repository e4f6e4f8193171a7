/** Loaded before a program: says on standard output which flags of V8 the program sets while it runs. */
import { writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import v8 from 'node:v8';

const STDOUT = 1;
const { setFlagsFromString } = v8;
v8.setFlagsFromString = (flag) => {
  writeSync(STDOUT, `V8 ${flag}\n`);
  setFlagsFromString(flag);
};
syncBuiltinESMExports();
