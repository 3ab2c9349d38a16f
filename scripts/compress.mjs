// Writes FILE.br and FILE.gz beside every file of FOLDER that gets smaller by it, so that the gateway
// compresses nothing while it serves. Pages are left out: each answer has a nonce of its own.
//
//   node scripts/compress.mjs FOLDER

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: node scripts/compress.mjs FOLDER");
  process.exit(2);
}

const TEXT = new Set([".css", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".wasm"]);
// A packet holds less than this anyway.
const BYTES_MIN = 1024;

const brotli = (bytes) =>
  brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
const gzip = (bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION });

const sum = { files: 0, bytes: 0, ".br": 0, ".gz": 0 };
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
for (const old of files.filter((path) => [".br", ".gz"].includes(extname(path)))) rmSync(old);
for (const path of files.filter((path) => TEXT.has(extname(path)))) {
  const bytes = readFileSync(path);
  if (bytes.length < BYTES_MIN) continue;
  sum.files += 1;
  sum.bytes += bytes.length;
  for (const [suffix, compress] of [[".br", brotli], [".gz", gzip]]) {
    const small = compress(bytes);
    sum[suffix] += small.length;
    if (small.length < bytes.length) writeFileSync(path + suffix, small);
  }
}
const kb = (bytes) => `${Math.round(bytes / 1000)} kB`;
console.error(
  `compress: ${sum.files} files, ${kb(sum.bytes)}; brotli ${kb(sum[".br"])}, gzip ${kb(sum[".gz"])}`,
);
