#!/usr/bin/env node
/**
 * `gridcast`: one program, a command each for the broker, for those who talk to it, and for what is simulated.
 *
 * Exit codes: 0 done, 1 failed, 2 used wrongly, 130 interrupted. A failure is one sentence on standard error.
 */
import { runProgram } from './program.js';
import { openShell } from './shell.js';

// Whatever still holds the process (a connection kept alive, a timer of a library) is not waited for.
process.exit(await runProgram(process.argv.slice(2), openShell()));
