// Rows of one height, of which only those in sight are in the page. Works for millions: beyond what a
// browser can scroll in pixels the scroll bar stands for shares of the whole.
import "./rows.css";

import { type KeyboardEvent, type ReactNode, type RefObject, useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "react";

// Browsers end at about 17 million pixels.
const HEIGHT_MAX = 12_000_000;
const OVERSCAN = 8;
// Borders, and room for a horizontal scroll bar.
const FRAME_PX = 14;

export interface RowsHandle {
  /** Brings a row into sight. */
  reveal: (index: number) => void;
  focus: () => void;
  top: () => void;
  /** Moves the view by so many rows, for rows that came above it. */
  shift: (rows: number) => void;
  atTop: () => boolean;
}

interface Props {
  count: number;
  rowPx: number;
  render: (index: number) => ReactNode;
  handle?: RefObject<RowsHandle | null>;
  onSight?: (first: number, last: number) => void;
  onKeyDown?: (event: KeyboardEvent<HTMLDivElement>) => void;
  role?: string;
  label: string;
  active?: string | undefined;
  className?: string;
  head?: ReactNode;
  headPx?: number;
  /** As high as its rows, up to what the style sheet allows. */
  fit?: boolean;
  aria?: Record<string, string | number | boolean | undefined>;
}

/** The rows that stand for a scroll position, and where the first of them begins. */
export function rowsAt(scrollTop: number, viewPx: number, count: number, rowPx: number): { first: number; last: number; top: number } {
  const wholePx = count * rowPx;
  const shownPx = Math.min(wholePx, HEIGHT_MAX);
  const share = shownPx > viewPx ? Math.min(1, scrollTop / (shownPx - viewPx)) : 0;
  const realTop = wholePx > shownPx ? share * (wholePx - viewPx) : scrollTop;
  const first = Math.max(0, Math.floor(realTop / rowPx) - OVERSCAN);
  const last = Math.min(count - 1, Math.ceil((realTop + viewPx) / rowPx) + OVERSCAN);
  return { first, last, top: first * rowPx - realTop + scrollTop };
}

function scrollFor(realTop: number, viewPx: number, count: number, rowPx: number): number {
  const wholePx = count * rowPx;
  const shownPx = Math.min(wholePx, HEIGHT_MAX);
  return wholePx > shownPx ? (realTop / (wholePx - viewPx)) * (shownPx - viewPx) : realTop;
}

export function VirtualRows({ count, rowPx, render, handle, onSight, onKeyDown, role, label, active, className, head, headPx = 0, fit = false, aria }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, px: 600 });
  const measure = useCallback(() => {
    const at = frame.current;
    if (at) setView((before) => (before.top === at.scrollTop && before.px === at.clientHeight ? before : { top: at.scrollTop, px: at.clientHeight }));
  }, []);
  useLayoutEffect(() => {
    const at = frame.current;
    if (!at) return;
    const watch = new ResizeObserver(measure);
    watch.observe(at);
    measure();
    return () => watch.disconnect();
  }, [measure]);
  const viewPx = Math.max(rowPx, view.px - headPx);
  const { first, last, top } = rowsAt(view.top, viewPx, count, rowPx);
  useEffect(() => { if (count > 0) onSight?.(first, last); }, [first, last, count, onSight]);
  useImperativeHandle(handle, () => ({
    reveal: (index) => {
      const at = frame.current;
      if (!at) return;
      const space = at.clientHeight - headPx;
      const real = rowsAt(at.scrollTop, space, count, rowPx);
      const realTop = real.first * rowPx - real.top + at.scrollTop;
      const from = index * rowPx;
      if (from < realTop) at.scrollTop = scrollFor(from, space, count, rowPx);
      else if (from + rowPx > realTop + space) at.scrollTop = scrollFor(from + rowPx - space, space, count, rowPx);
      measure();
    },
    focus: () => frame.current?.focus(),
    top: () => { if (frame.current) frame.current.scrollTop = 0; measure(); },
    shift: (rows) => { if (frame.current) frame.current.scrollTop += rows * rowPx; measure(); },
    atTop: () => (frame.current?.scrollTop ?? 0) < rowPx,
  }), [count, rowPx, headPx, measure]);
  const rows: ReactNode[] = [];
  for (let index = first; index <= last; index += 1) rows.push(render(index));
  return (
    <div ref={frame} className={`virtual-rows ${className ?? ""}`} tabIndex={0} role={role} aria-label={label}
      aria-activedescendant={active} onScroll={measure} onKeyDown={onKeyDown}
      {...(fit && { style: { height: Math.min(count * rowPx, HEIGHT_MAX) + FRAME_PX } })} {...aria}>
      {head}
      <div role={role === "grid" ? "rowgroup" : "presentation"} style={{ height: Math.min(count * rowPx, HEIGHT_MAX), position: "relative" }}>
        <div role="presentation" style={{ position: "absolute", top: Math.max(0, top), left: 0, minWidth: "100%" }}>{rows}</div>
      </div>
    </div>
  );
}
