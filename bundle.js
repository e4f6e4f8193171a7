// The program as few files instead of three hundred: a daemon that is started again after a crash has them read and compiled in
// half the time. Chunks stay one folder below dist, so what is named from there is found: package.json, proto/, cli/gridcast.js.
import { build } from 'esbuild';

await build({
  entryPoints: { 'cli/gridcast': 'src/cli/gridcast.ts' },
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  // Names stay, for stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  // They load machine code from beside themselves.
  external: ['classic-level', 'koffi', 'uWebSockets.js'],
  // What is CommonJS asks for Node's own modules.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  logLevel: 'warning',
});
