/**
 * Runs one of the bundles (bundles.ts) by what V8 made of it before, if that is there beside it. Node keeps nothing of the
 * kind before its version 22, and of modules nothing at all.
 */
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname } = require('node:path');
const v8 = require('node:v8');
const { Script, constants } = require('node:vm');

module.exports = function run(filename) {
  const kept = `${filename}.compiled`;
  // esbuild writes ASCII alone, which is read faster so.
  const text = readFileSync(filename, 'latin1').replace(/^#!.*/, '');
  const script = new Script(`(function (exports, require, module, __filename, __dirname) {${text}\n})`, {
    filename,
    ...(existsSync(kept) ? { cachedData: readFileSync(kept) } : {}),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  if (process.env.MCPCTL_TEST_KEEP_COMPILED) {
    // What is kept under other flags is refused.
    v8.setFlagsFromString = () => undefined;
    // At the end: then what was called is compiled too, and not only what stands outside of functions.
    process.on('exit', () => writeFileSync(kept, script.createCachedData()));
  }
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename));
};
