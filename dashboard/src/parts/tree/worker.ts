// Decodes, reads and searches a body away from the page, which stays quick however large it is.
import { type Broken, scan, sourceOf, type Tree, unquoted } from "./scan";

export const FOUND_MAX = 5_000;
const LINE_MAX = 160;

/** What a body is. */
export interface Read {
  /** The body as text; bytes that are no UTF-8 are replaced. */
  text: string;
  /** Whether nothing had to be replaced. */
  utf8: boolean;
  tree: Tree | null;
  broken: Broken | null;
  /** Where the lines of the text view begin, long ones in pieces; the last is the end. */
  lines: Uint32Array;
}

export type Order = { kind: "read"; bytes: ArrayBuffer; json: boolean } | { kind: "search"; words: string; number: number };
export type Told = { kind: "read"; read: Read } | { kind: "found"; nodes: Uint32Array; more: boolean; number: number };

let text = "";
let tree: Tree | null = null;

self.onmessage = ({ data }: MessageEvent<Order>) => {
  if (data.kind === "read") read(data.bytes, data.json);
  else search(data.words, data.number);
};

const tell = (told: Told, parts: Transferable[] = []) => (self as unknown as Worker).postMessage(told, parts);

function read(bytes: ArrayBuffer, json: boolean) {
  let utf8 = true;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    utf8 = false;
    text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }
  const found = utf8 && json ? scan(text) : null;
  tree = found && "count" in found ? found : null;
  const lines = linesOf(text);
  tell({ kind: "read", read: { text, utf8, tree, broken: found && "why" in found ? found : null, lines } }, [lines.buffer]);
}

function linesOf(shown: string): Uint32Array<ArrayBuffer> {
  let begins = new Uint32Array(1 << 12);
  let count = 0;
  const add = (at: number) => {
    if (count === begins.length) { const larger = new Uint32Array(count * 2); larger.set(begins); begins = larger; }
    begins[count] = at;
    count += 1;
  };
  let at = 0;
  while (at < shown.length) {
    add(at);
    const end = shown.indexOf("\n", at);
    const line = end < 0 ? shown.length : end + 1;
    let next = Math.min(line, at + LINE_MAX);
    // A pair of surrogates stays together.
    if (next < line && (shown.charCodeAt(next) & 0xfc00) === 0xdc00) next += 1;
    at = next;
  }
  add(shown.length);
  return begins.slice(0, count);
}

function search(words: string, number: number) {
  const wanted = words.toLowerCase();
  const found: number[] = [];
  let more = false;
  if (tree !== null && wanted !== "") {
    for (let node = 0; node < tree.count; node += 1) {
      if (!fits(text, tree, node, wanted)) continue;
      if (found.length === FOUND_MAX) { more = true; break; }
      found.push(node);
    }
  }
  const nodes = Uint32Array.from(found);
  tell({ kind: "found", nodes, more, number }, [nodes.buffer]);
}

function fits(source: string, all: Tree, node: number, wanted: string): boolean {
  const key = all.key[node] ?? 0;
  if (key > 0 && unquoted(sourceOf(source, key - 1)).toLowerCase().includes(wanted)) return true;
  const kind = all.kind[node] ?? 0;
  if (kind < 2) return false;
  const value = sourceOf(source, all.start[node] ?? 0);
  return (kind === 2 ? unquoted(value) : value).toLowerCase().includes(wanted);
}
