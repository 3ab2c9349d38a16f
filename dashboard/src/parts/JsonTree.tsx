// JSON as a tree that can be opened, walked with the keyboard and searched. Only the rows in sight exist,
// so that neither ten megabytes nor ten thousand levels slow the page down.
import "./tree/tree.css";

import { ActionIcon, Group, Text, TextInput, Tooltip } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconFold, IconFoldDown, IconSearch } from "@tabler/icons-react";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useMemo, useRef, useState } from "react";

import { CopyButton } from "./CopyButton";
import { visible } from "./foreign";
import { bytes, count, fullCount } from "./format";
import { KINDS, pathOf, sourceOf, type Tree, unquoted, valueEnd, wayTo } from "./tree/scan";
import type { Found } from "./tree/useBody";
import { type RowsHandle, VirtualRows } from "./VirtualRows";

const ROW_PX = 23;
const OPEN_ALL_MAX = 400;
const INDENT_MAX = 24;
const SHOWN_MAX = 400;
const COPIED_MAX = 4 * 1024 * 1024;

interface Props {
  text: string;
  tree: Tree;
  found: Found | null;
  searching: boolean;
  search: (words: string) => void;
  /** What else can be done with the chosen value. */
  more?: (path: string, source: string) => ReactNode;
}

/** Which nodes are open at first: everything if it is little, else the outer levels. */
function firstOpen(tree: Tree): Uint8Array {
  const open = new Uint8Array(tree.count);
  for (let node = 0; node < tree.count; node += 1) {
    const depth = tree.depth[node] ?? 0;
    if (tree.count <= OPEN_ALL_MAX ? depth < 40 : depth < 2 && (depth === 0 || (tree.size[node] ?? 0) <= 100)) open[node] = 1;
  }
  return open;
}

function rowsOf(tree: Tree, open: Uint8Array): Uint32Array {
  const rows = new Uint32Array(tree.count);
  let length = 0;
  for (let node = 0; node < tree.count;) {
    rows[length] = node;
    length += 1;
    node = open[node] === 1 ? node + 1 : (tree.end[node] ?? node + 1);
  }
  return rows.subarray(0, length);
}

const isOpenable = (tree: Tree, node: number) => (tree.kind[node] ?? 9) < 2 && (tree.size[node] ?? 0) > 0;

// The place of a node among the rows, which are in order.
function placeOf(rows: Uint32Array, node: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[middle] ?? 0) < node) low = middle + 1; else high = middle;
  }
  return low;
}

export function JsonTree({ text, tree, found, searching, search, more }: Props) {
  const [open, setOpen] = useState(() => firstOpen(tree));
  useEffect(() => setOpen(firstOpen(tree)), [tree]);
  const rows = useMemo(() => rowsOf(tree, open), [tree, open]);
  const [active, setActive] = useState(0);
  const [hit, setHit] = useState(0);
  const handle = useRef<RowsHandle | null>(null);
  const id = useId();
  const goal = useRef<number | null>(null);
  useEffect(() => {
    if (goal.current === null) return;
    handle.current?.reveal(placeOf(rows, goal.current));
    goal.current = null;
  }, [rows]);
  const set = (node: number, to: boolean) => setOpen((before) => { const next = before.slice(); next[node] = to ? 1 : 0; return next; });
  const setMany = (from: number, to: number, value: boolean) => setOpen((before) => before.slice().fill(value ? 1 : 0, from, to));
  const show = (node: number) => {
    setActive(node);
    goal.current = node;
    setOpen((before) => {
      const next = before.slice();
      for (let at = tree.parent[node] ?? -1; at >= 0; at = tree.parent[at] ?? -1) next[at] = 1;
      return next;
    });
  };
  const goTo = (number: number) => {
    if (!found || found.nodes.length === 0) return;
    const at = (number + found.nodes.length) % found.nodes.length;
    setHit(at);
    show(found.nodes[at] ?? 0);
  };
  useEffect(() => { if (found && found.nodes.length > 0) goTo(0); }, [found]);
  const onKeyDown = (key: KeyboardEvent) => {
    if (key.ctrlKey || key.metaKey || key.altKey) return;
    const place = placeOf(rows, active);
    const to = (at: number) => {
      const next = Math.max(0, Math.min(rows.length - 1, at));
      setActive(rows[next] ?? 0);
      handle.current?.reveal(next);
    };
    const openable = isOpenable(tree, active);
    switch (key.key) {
      case "ArrowDown": to(place + 1); break;
      case "ArrowUp": to(place - 1); break;
      case "PageDown": to(place + 20); break;
      case "PageUp": to(place - 20); break;
      case "Home": to(0); break;
      case "End": to(rows.length - 1); break;
      case "ArrowRight": if (openable && open[active] !== 1) set(active, true); else to(place + 1); break;
      case "ArrowLeft":
        if (openable && open[active] === 1) set(active, false);
        else if ((tree.parent[active] ?? -1) >= 0) to(placeOf(rows, tree.parent[active] ?? 0));
        break;
      case "Enter": case " ": if (openable) set(active, open[active] !== 1); break;
      case "*": setMany(active, tree.end[active] ?? active, true); break;
      default: return;
    }
    key.preventDefault();
  };
  const words = found?.words ?? "";
  return (
    <div className="json-tree">
      <Search found={found} searching={searching} search={search} hit={hit} goTo={goTo}
        onOpenAll={() => setMany(0, tree.count, true)} onCloseAll={() => setMany(1, tree.count, false)} />
      <VirtualRows role="tree" label="Payload" className="tree-rows" count={rows.length} rowPx={ROW_PX} fit handle={handle} onKeyDown={onKeyDown} active={`${id}-${active}`}
        render={(index) => {
          const node = rows[index] ?? 0;
          return (
            <TreeRow key={node} id={`${id}-${node}`} text={text} tree={tree} node={node} open={open[node] === 1} active={node === active} words={words}
              onClick={() => { setActive(node); if (isOpenable(tree, node)) set(node, open[node] !== 1); }} />
          );
        }} />
      <Chosen text={text} tree={tree} node={active} {...(more && { more })} />
      {tree.cut && <Text size="xs" c="dimmed">The tree holds the first {fullCount(tree.count)} values. The text and the download have everything.</Text>}
    </div>
  );
}

interface SearchProps {
  found: Found | null;
  searching: boolean;
  search: (words: string) => void;
  hit: number;
  goTo: (number: number) => void;
  onOpenAll: () => void;
  onCloseAll: () => void;
}

function Search({ found, searching, search, hit, goTo, onOpenAll, onCloseAll }: SearchProps) {
  const [words, setWords] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => search(words), 200);
    return () => clearTimeout(timer);
  }, [words, search]);
  const number = found?.nodes.length ?? 0;
  const told = words === "" ? "" : searching || !found ? "Searching…" : number === 0 ? "Not found" : `${fullCount(hit + 1)} of ${fullCount(number)}${found.more ? "+" : ""}`;
  return (
    <Group gap={6} wrap="nowrap">
      <TextInput aria-label="Search in the payload" placeholder="Search keys and values" leftSection={<IconSearch size={15} />} value={words} flex={1} type="search"
        onChange={(change) => setWords(change.currentTarget.value)}
        onKeyDown={(key) => { if (key.key === "Enter") { key.preventDefault(); goTo(hit + (key.shiftKey ? -1 : 1)); } }} />
      <Text size="xs" c="dimmed" role="status" className="numbers" miw={words ? 62 : 0}>{told}</Text>
      {number > 0 && (
        <>
          <ActionIcon variant="default" size={30} aria-label="Previous match" onClick={() => goTo(hit - 1)}><IconArrowUp size={15} /></ActionIcon>
          <ActionIcon variant="default" size={30} aria-label="Next match" onClick={() => goTo(hit + 1)}><IconArrowDown size={15} /></ActionIcon>
        </>
      )}
      <Tooltip label="Open everything"><ActionIcon variant="default" size={30} aria-label="Open everything" onClick={onOpenAll}><IconFoldDown size={15} /></ActionIcon></Tooltip>
      <Tooltip label="Close everything"><ActionIcon variant="default" size={30} aria-label="Close everything" onClick={onCloseAll}><IconFold size={15} /></ActionIcon></Tooltip>
    </Group>
  );
}

interface RowProps {
  id: string;
  text: string;
  tree: Tree;
  node: number;
  open: boolean;
  active: boolean;
  words: string;
  onClick: () => void;
}

function TreeRow({ id, text, tree, node, open, active, words, onClick }: RowProps) {
  const depth = tree.depth[node] ?? 0;
  const kind = KINDS[tree.kind[node] ?? 6] ?? "null";
  const key = tree.key[node] ?? 0;
  const openable = isOpenable(tree, node);
  const parent = tree.parent[node] ?? -1;
  return (
    <div role="treeitem" id={id} className="tree-row" aria-level={depth + 1} aria-selected={active} data-active={active || undefined} onClick={onClick}
      {...(openable && { "aria-expanded": open })} aria-posinset={(tree.index[node] ?? 0) + 1} aria-setsize={parent < 0 ? 1 : (tree.size[parent] ?? 1)}
      style={{ paddingLeft: 6 + Math.min(depth, INDENT_MAX) * 14 }}>
      {depth > INDENT_MAX && <span className="tree-depth" title={`Level ${depth}`}>{depth}</span>}
      <span className="tree-mark" aria-hidden>{openable ? (open ? "▾" : "▸") : ""}</span>
      {key > 0 && <><span className="tree-key foreign" data-truncate><Marked text={shortened(unquoted(sourceOf(text, key - 1)))} words={words} /></span><span aria-hidden>: </span></>}
      {key === 0 && parent >= 0 && <><span className="tree-index">{tree.index[node]}</span><span aria-hidden>: </span></>}
      {(tree.kind[node] ?? 9) < 2
        ? <span className="tree-more">{kind === "object" ? (openable ? `{ ${count(tree.size[node] ?? 0)} }` : "{ }") : openable ? `[ ${count(tree.size[node] ?? 0)} ]` : "[ ]"}</span>
        : <span className="tree-value foreign" data-truncate data-kind={kind}><Marked text={valueShown(text, tree, node)} words={words} /></span>}
    </div>
  );
}

const shortened = (text: string) => visible(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text, true);

function valueShown(text: string, tree: Tree, node: number): string {
  const source = sourceOf(text, tree.start[node] ?? 0);
  if (source[0] !== '"') return shortened(source);
  const said = source.length > 100_000 ? source.slice(1, SHOWN_MAX + 2) : unquoted(source);
  const shown = `"${shortened(said)}"`;
  return source.length > SHOWN_MAX * 2 ? `${shown} (${bytes(source.length)})` : shown;
}

function Marked({ text, words }: { text: string; words: string }) {
  if (words === "") return text;
  const at = text.toLowerCase().indexOf(words.toLowerCase());
  if (at < 0) return text;
  return <>{text.slice(0, at)}<mark>{text.slice(at, at + words.length)}</mark>{text.slice(at + words.length)}</>;
}

/** The chosen value: its path, and what can be done with it. */
function Chosen({ text, tree, node, more }: Pick<Props, "text" | "tree" | "more"> & { node: number }) {
  const chosen = useMemo(() => {
    const path = pathOf(wayTo(text, tree, node));
    const start = tree.start[node] ?? 0;
    const source = text.slice(start, valueEnd(text, start));
    const simple = (tree.kind[node] ?? 0) >= 2 && source.length <= 1_000;
    return { path, value: source[0] === '"' ? unquoted(source) : source, simple: simple ? source : undefined };
  }, [text, tree, node]);
  const path = chosen.path.length > 300 ? `${chosen.path.slice(0, 140)} … ${chosen.path.slice(-140)}` : chosen.path;
  return (
    <Group gap={6} className="tree-chosen" wrap="nowrap" align="start">
      <Text size="xs" className="mono foreign" flex={1} aria-label="Path of the chosen value">{visible(path, true) || "the whole payload"}</Text>
      {chosen.path !== "" && <CopyButton value={chosen.path} label="Copy the path" />}
      {chosen.value.length <= COPIED_MAX && <CopyButton value={chosen.value} label="Copy the value" />}
      {more && chosen.simple !== undefined && chosen.path !== "" && more(chosen.path, chosen.simple)}
    </Group>
  );
}

