// `node --require` of this file: packages named in ABSENT are not installed, as far as the program can tell.
const Module = require('node:module');
const process = require('node:process');
const absent = (process.env.ABSENT ?? '').split(',');
const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  if (absent.includes(request)) {
    throw Object.assign(new Error(`Cannot find module '${request}'`), { code: 'MODULE_NOT_FOUND' });
  }
  return resolve.call(this, request, ...rest);
};
