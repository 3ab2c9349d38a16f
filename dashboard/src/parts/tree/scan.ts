// Reads JSON into flat arrays without recursion, so that neither depth nor size can break it. Numbers and
// texts stay where they are in the source: what is shown is what came, digit for digit.
//
// Invariants: node 0 is the whole; nodes stand in the order of the text, so that what is inside a node
// comes right after it and ends before `end[node]`.

export const KINDS = ["object", "array", "string", "number", "true", "false", "null"] as const;
export type Kind = (typeof KINDS)[number];

/** Values beyond this are not put into the tree; the text still has them. */
export const NODES_MAX = 2_000_000;

export interface Tree {
  count: number;
  /** Index into `KINDS`. */
  kind: Uint8Array;
  /** Where the value begins in the text. */
  start: Uint32Array;
  /** Where its key's quotation mark is, plus one; 0 without a key. */
  key: Uint32Array;
  /** The first node behind everything inside. */
  end: Uint32Array;
  parent: Int32Array;
  depth: Uint32Array;
  /** How many values stand directly inside. */
  size: Uint32Array;
  /** Which one it is among its siblings, from 0. */
  index: Uint32Array;
  deepest: number;
  /** Whether there is more than fits. */
  cut: boolean;
}

/** What is wrong with a text that is no JSON, and where. */
export interface Broken {
  at: number;
  why: string;
}

const SPACE = new Set([0x20, 0x0a, 0x0d, 0x09]);
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORDS: [string, number][] = [["true", 4], ["false", 5], ["null", 6]];

class Builder {
  count = 0;
  deepest = 0;
  private room = 1 << 12;
  kind = new Uint8Array(this.room);
  start = new Uint32Array(this.room);
  key = new Uint32Array(this.room);
  end = new Uint32Array(this.room);
  parent = new Int32Array(this.room);
  depth = new Uint32Array(this.room);
  size = new Uint32Array(this.room);
  index = new Uint32Array(this.room);

  add(kind: number, start: number, key: number, parent: number): number {
    if (this.count === this.room) this.grow();
    const node = this.count;
    this.count += 1;
    this.kind[node] = kind;
    this.start[node] = start;
    this.key[node] = key;
    this.end[node] = node + 1;
    this.parent[node] = parent;
    const depth = parent < 0 ? 0 : (this.depth[parent] ?? 0) + 1;
    this.depth[node] = depth;
    if (depth > this.deepest) this.deepest = depth;
    if (parent >= 0) {
      const before = this.size[parent] ?? 0;
      this.index[node] = before;
      this.size[parent] = before + 1;
    }
    return node;
  }

  private grow() {
    this.room *= 2;
    const larger = <T extends Uint8Array | Uint32Array | Int32Array>(from: T, to: T): T => { to.set(from as never); return to; };
    this.kind = larger(this.kind, new Uint8Array(this.room));
    this.start = larger(this.start, new Uint32Array(this.room));
    this.key = larger(this.key, new Uint32Array(this.room));
    this.end = larger(this.end, new Uint32Array(this.room));
    this.parent = larger(this.parent, new Int32Array(this.room));
    this.depth = larger(this.depth, new Uint32Array(this.room));
    this.size = larger(this.size, new Uint32Array(this.room));
    this.index = larger(this.index, new Uint32Array(this.room));
  }

  done(cut: boolean): Tree {
    const { count, deepest } = this;
    return {
      count, deepest, cut,
      kind: this.kind.slice(0, count), start: this.start.slice(0, count), key: this.key.slice(0, count), end: this.end.slice(0, count),
      parent: this.parent.slice(0, count), depth: this.depth.slice(0, count), size: this.size.slice(0, count), index: this.index.slice(0, count),
    };
  }
}

class Wrong extends Error {
  constructor(readonly at: number, why: string) { super(why); }
}

/** The tree of a text, or what is wrong with it. */
export function scan(text: string): Tree | Broken {
  try {
    return scanned(text);
  } catch (error) {
    if (error instanceof Wrong) return { at: error.at, why: error.message };
    throw error;
  }
}

function scanned(text: string): Tree {
  const built = new Builder();
  let at = space(text, text.charCodeAt(0) === 0xfeff ? 1 : 0);
  let parent = -1;
  let inObject = false;
  for (;;) {
    let key = 0;
    if (inObject) {
      if (text[at] !== '"') throw new Wrong(at, "a key in quotation marks is expected");
      key = at + 1;
      at = space(text, stringEnd(text, at));
      if (text[at] !== ":") throw new Wrong(at, "a colon is expected behind the key");
      at = space(text, at + 1);
    }
    if (built.count >= NODES_MAX) return closeAll(built, parent);
    const opens = text[at];
    if (opens === "{" || opens === "[") {
      const node = built.add(opens === "{" ? 0 : 1, at, key, parent);
      at = space(text, at + 1);
      if (text[at] !== (opens === "{" ? "}" : "]")) {
        parent = node;
        inObject = opens === "{";
        continue;
      }
      at = space(text, at + 1);
    } else {
      const [kind, end] = simple(text, at);
      built.add(kind, at, key, parent);
      at = space(text, end);
    }
    // A value is complete: a comma goes on, a bracket closes what is around it, perhaps several.
    for (;;) {
      if (parent < 0) {
        if (at < text.length) throw new Wrong(at, "nothing is expected behind the end");
        return built.done(false);
      }
      if (text[at] === ",") { at = space(text, at + 1); break; }
      if (text[at] !== (inObject ? "}" : "]")) throw new Wrong(at, `a comma or ${inObject ? "}" : "]"} is expected`);
      built.end[parent] = built.count;
      parent = built.parent[parent] ?? -1;
      inObject = parent >= 0 && built.kind[parent] === 0;
      at = space(text, at + 1);
    }
  }
}

function closeAll(built: Builder, innermost: number): Tree {
  for (let node = innermost; node >= 0; node = built.parent[node] ?? -1) built.end[node] = built.count;
  return built.done(true);
}

function space(text: string, from: number): number {
  let at = from;
  while (SPACE.has(text.charCodeAt(at))) at += 1;
  return at;
}

/** Where a text in quotation marks ends, behind its closing mark. */
export function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new Wrong(from, "a text has no end");
    let marks = 0;
    for (let before = quote - 1; before > from && text[before] === "\\"; before -= 1) marks += 1;
    at = quote + 1;
    if (marks % 2 === 0) return at;
  }
}

function simple(text: string, at: number): [number, number] {
  if (text[at] === '"') return [2, stringEnd(text, at)];
  for (const [word, kind] of WORDS) if (text.startsWith(word, at)) return [kind, at + word.length];
  NUMBER.lastIndex = at;
  const number = NUMBER.exec(text);
  if (number) return [3, at + number[0].length];
  throw new Wrong(at, at >= text.length ? "the text ends too early" : "a value is expected");
}

/** The source text of a simple value, or of a key. */
export function sourceOf(text: string, start: number): string {
  if (text[start] === '"') return text.slice(start, stringEnd(text, start));
  return text.slice(start, simple(text, start)[1]);
}

/** What a text in quotation marks says; as it stands if its escapes are broken. */
export function unquoted(source: string): string {
  try {
    return JSON.parse(source) as string;
  } catch {
    return source.slice(1, -1);
  }
}

/** Where a value ends, whatever is inside. */
export function valueEnd(text: string, start: number): number {
  let open = 0;
  let at = start;
  for (;;) {
    const sign = text[at];
    if (sign === undefined) return text.length;
    if (sign === '"') at = stringEnd(text, at);
    else if (sign === "{" || sign === "[") { open += 1; at += 1; }
    else if (sign === "}" || sign === "]") { open -= 1; at += 1; }
    else if (open === 0) return simple(text, at)[1];
    else at += 1;
    if (open === 0) return at;
  }
}

/** What leads to a node: keys and places in lists, from the outside in. */
export function wayTo(text: string, tree: Tree, node: number): (string | number)[] {
  const way: (string | number)[] = [];
  for (let at = node; (tree.parent[at] ?? -1) >= 0; at = tree.parent[at] ?? -1) {
    const key = tree.key[at] ?? 0;
    way.push(key > 0 ? unquoted(sourceOf(text, key - 1)) : (tree.index[at] ?? 0));
  }
  return way.reverse();
}

/** A way as people write it: `data.items[0]['a name']`. */
export function pathOf(way: (string | number)[]): string {
  let path = "";
  for (const step of way) {
    if (typeof step === "number") path += `[${step}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(step)) path += path === "" ? step : `.${step}`;
    else path += `['${step.replace(/[\\']/g, "\\$&")}']`;
  }
  return path;
}
