// The rows of the events page: a grid of which only the rows in sight exist. The grid has the focus and
// names its active row, so that the place is kept when that row scrolls out of the page.
import { Checkbox } from "@mantine/core";
import { Link, useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type MouseEvent, type RefObject, useCallback } from "react";

import type { Event } from "../../api/queries/events";
import { visible } from "../../parts/foreign";
import { bytes } from "../../parts/format";
import { State } from "../../parts/State";
import { type RowsHandle, VirtualRows } from "../../parts/VirtualRows";
import type { EventList, ListState } from "./list";
import { endpointsOf, shortTime, stateOf, utc, verdictOf } from "./words";

const COLUMNS = ["Select", "Received", "Source", "Type", "State", "Verdict", "Size", "Endpoints"];
const ROW_PX = 38;
const PHONE_ROW_PX = 66;
const HEAD_PX = 34;

interface Props {
  list: EventList;
  state: ListState;
  active: number;
  onActive: (index: number) => void;
  chosen: ReadonlySet<string>;
  onChoose: (ids: string[], on: boolean) => void;
  onSight: (first: number, last: number) => void;
  handle: RefObject<RowsHandle | null>;
  phone: boolean;
}

export function Table({ list, state, active, onActive, chosen, onChoose, onSight, handle, phone }: Props) {
  const navigate = useNavigate();
  const count = state.rows;
  const move = (to: number) => {
    const index = Math.max(0, Math.min(count - 1, to));
    onActive(index);
    handle.current?.reveal(index);
  };
  const toggle = (index: number, range = false) => {
    const row = list.row(index);
    if (!row) return;
    const on = !chosen.has(row.id);
    if (!range) return onChoose([row.id], on);
    const [from, to] = index < active ? [index, active] : [active, index];
    const ids: string[] = [];
    for (let at = from; at <= to; at += 1) { const one = list.row(at); if (one) ids.push(one.id); }
    onChoose(ids, true);
  };
  const open = (index: number) => {
    const row = list.row(index);
    if (row) void navigate({ to: "/events/$eventId", params: { eventId: row.id } });
  };
  const onKeyDown = (key: KeyboardEvent) => {
    if (key.ctrlKey || key.metaKey || key.altKey) return;
    const todo = keys(key.key, key.shiftKey, active, count);
    if (!todo) return;
    key.preventDefault();
    if (todo.open) open(active);
    if (todo.toggle) toggle(active);
    if (todo.clear) onChoose([...chosen], false);
    if (todo.move !== undefined) {
      if (todo.extend) { toggle(Math.max(0, Math.min(count - 1, todo.move)), true); }
      move(todo.move);
    }
  };
  const all = list.loaded();
  const every = all.length > 0 && all.every((row) => chosen.has(row.id));
  const current = list.row(active);
  const render = useCallback((index: number) => (
    <Row key={index} index={index} event={list.row(index)} active={index === active} chosen={chosen} phone={phone}
      onToggle={toggle} onOpen={(at) => { onActive(at); open(at); }} />
    // Everything that a row shows is named here; `state.version` stands for the list's contents.
  ), [list, active, chosen, phone, state.version]);
  const head = (
    <div role="rowgroup" className="events-head">
      <div role="row" aria-rowindex={1} className="events-row">
        <span role="columnheader">
          <Checkbox aria-label="Select all that are loaded" tabIndex={-1} checked={every} indeterminate={!every && chosen.size > 0}
            onChange={() => onChoose(all.map((row) => row.id), !every)} />
        </span>
        {COLUMNS.slice(1).map((name) => <span role="columnheader" key={name}>{name}</span>)}
      </div>
    </div>
  );
  return (
    <VirtualRows role="grid" label="Events" className="events-grid" count={count} rowPx={phone ? PHONE_ROW_PX : ROW_PX}
      head={head} headPx={phone ? 0 : HEAD_PX} handle={handle} onSight={onSight} onKeyDown={onKeyDown} render={render}
      active={current ? rowId(current.id) : undefined}
      aria={{ "aria-rowcount": state.done ? count + 1 : -1, "aria-colcount": COLUMNS.length, "aria-multiselectable": true, "aria-busy": state.loading }} />
  );
}

interface Todo { move?: number; extend?: boolean; open?: boolean; toggle?: boolean; clear?: boolean }

function keys(key: string, shift: boolean, active: number, count: number): Todo | null {
  switch (key) {
    case "ArrowDown": return { move: active + 1, extend: shift };
    case "ArrowUp": return { move: active - 1, extend: shift };
    case "j": return { move: active + 1 };
    case "k": return { move: active - 1 };
    case "PageDown": return { move: active + 15 };
    case "PageUp": return { move: active - 15 };
    case "Home": case "g": return { move: 0 };
    case "End": case "G": return { move: count - 1 };
    case "Enter": case "o": return { open: true };
    case "x": case " ": return { toggle: true };
    case "Escape": return { clear: true };
    default: return null;
  }
}

const rowId = (id: string) => `row-${id}`;

interface RowProps {
  index: number;
  event: Event | undefined;
  active: boolean;
  chosen: ReadonlySet<string>;
  phone: boolean;
  onToggle: (index: number, range: boolean) => void;
  onOpen: (index: number) => void;
}

function Row({ index, event, active, chosen, phone, onToggle, onOpen }: RowProps) {
  const height = phone ? PHONE_ROW_PX : ROW_PX;
  if (!event) {
    return <div role="row" aria-rowindex={index + 2} className="events-row" style={{ height }}><span role="gridcell" className="c-wait">…</span></div>;
  }
  const verdict = verdictOf(event);
  const click = (mouse: MouseEvent) => {
    if (mouse.shiftKey) { onToggle(index, true); return; }
    // Links and boxes do their own; a selected text is somebody's copying.
    if ((mouse.target as Element).closest("a, input, label") || window.getSelection()?.toString()) return;
    onOpen(index);
  };
  const endpoints = endpointsOf(event);
  return (
    <div role="row" id={rowId(event.id)} aria-rowindex={index + 2} aria-selected={chosen.has(event.id)} className="events-row"
      data-active={active || undefined} style={{ height }} onClick={click}>
      <span role="gridcell" className="c-box">
        <Checkbox aria-label={`Select ${event.eventType ?? "event"} ${event.id}`} tabIndex={-1} checked={chosen.has(event.id)}
          onChange={() => undefined} onClick={(mouse) => { mouse.stopPropagation(); onToggle(index, mouse.shiftKey); }} />
      </span>
      <span role="gridcell" className="c-time">
        <Link className="plain numbers" tabIndex={-1} to="/events/$eventId" params={{ eventId: event.id }}>
          <time dateTime={event.receivedAt} title={utc(event.receivedAt)}>{shortTime(event.receivedAt)}</time>
        </Link>
        {phone && <span className="foreign"> · {visible(event.source ?? "–", true)}</span>}
      </span>
      <span role="gridcell" className="c-source cut foreign" data-truncate title={visible(event.source ?? "")}>{visible(event.source ?? "–", true)}</span>
      <span role="gridcell" className="c-type cut foreign" data-truncate title={visible(event.eventType ?? "")}>{visible(event.eventType ?? "–", true)}</span>
      <span role="gridcell" className="c-state"><State state={stateOf(event)} /></span>
      <span role="gridcell" className="c-verdict" title={verdict.title} data-word={verdict.word}>{verdict.word}</span>
      <span role="gridcell" className="c-size numbers" title="Headers and body as they are kept">{bytes(event.sizeBytes)}</span>
      <span role="gridcell" className="c-endpoints cut foreign" data-truncate title={visible(endpoints)}>{visible(endpoints, true) || "–"}</span>
    </div>
  );
}
