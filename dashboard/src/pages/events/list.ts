// The rows of the events page: pages of the API under a keyset iterator, and new events above them.
//
// Invariants: rows never move while somebody reads further down; at most PAGES_KEPT pages and NEW_MAX new
// events are in memory (a page that was dropped is asked for again when it comes into sight); a list that
// was closed asks for nothing any more.
import type { Asked, Event, EventPage } from "../../api/queries/events";

export const PAGE = 100;
const PAGES_KEPT = 30;
const NEW_MAX = 500;

interface Page {
  /** The iterator that it was asked with; undefined for the first. */
  from: string | undefined;
  count: number;
  /** Null when it was dropped. */
  rows: Event[] | null;
  loading: boolean;
}

/** What the page shows; a new object for each change. */
export interface ListState {
  /** How many rows there are, new ones included. */
  rows: number;
  /** Events that came and wait to be shown. */
  waiting: number;
  done: boolean;
  loading: boolean;
  error: Error | null;
  /** How far back a search in payloads has looked. */
  searchedTo: string | null;
  /** Whether a search in payloads was stopped by the reader. */
  stopped: boolean;
  version: number;
}

type Fetch = (asked: Asked, signal: AbortSignal) => Promise<EventPage>;

const EMPTY: ListState = {
  rows: 0, waiting: 0, done: false, loading: true, error: null, searchedTo: null, stopped: false, version: 0,
};

/** One list under one set of filters. */
export class EventList {
  private pages: Page[] = [];
  private fresh: Event[] = [];
  private held: Event[] = [];
  /** New events beyond what is held; showing them means asking for the list anew. */
  private lost = 0;
  private next: string | undefined;
  private state: ListState = EMPTY;
  private readonly listeners = new Set<() => void>();
  private closing = new AbortController();
  private readonly known = new Set<string>();

  constructor(private readonly asked: Asked, private readonly fetchPage: Fetch, private readonly wanted = PAGE) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  readonly snapshot = (): ListState => this.state;

  /** Begins; a list that was closed begins anew. */
  open(): void {
    if (this.closing.signal.aborted) this.closing = new AbortController();
    if (this.pages.length === 0) void this.more();
  }

  close(): void {
    this.closing.abort();
    for (const page of this.pages) page.loading = false;
    this.state = { ...this.state, loading: false };
  }

  /** The row at an index, or undefined while its page is not there. */
  row(index: number): Event | undefined {
    if (index < this.fresh.length) return this.fresh[index];
    const [page, inside] = this.place(index - this.fresh.length);
    return page?.rows?.[inside];
  }

  private place(index: number): [Page | undefined, number] {
    let rest = index;
    for (const page of this.pages) {
      if (rest < page.count) return [page, rest];
      rest -= page.count;
    }
    return [undefined, 0];
  }

  /** Says which rows are in sight: what is missing there is asked for, what is far away is dropped. */
  sight(first: number, last: number): void {
    let start = this.fresh.length;
    const middle = (first + last) / 2;
    const far: [number, Page][] = [];
    for (const page of this.pages) {
      const end = start + page.count;
      const near = start <= last + PAGE && end >= first - PAGE;
      if (near && page.rows === null) void this.again(page);
      if (!near && page.rows) far.push([Math.abs((start + end) / 2 - middle), page]);
      start = end;
    }
    far.sort((one, other) => other[0] - one[0]);
    for (const [, page] of far.slice(0, Math.max(0, this.pages.filter((page) => page.rows).length - PAGES_KEPT))) page.rows = null;
    if (last >= start - PAGE / 2 && !this.state.done && !this.state.loading && !this.state.error && !this.state.stopped) void this.more();
  }

  /** Asks for the next page; a search in payloads goes on until it has found enough for a page. */
  async more(): Promise<void> {
    const signal = this.closing.signal;
    this.change({ loading: true, error: null, stopped: false });
    let found = 0;
    try {
      while (!signal.aborted) {
        const from = this.next;
        const page = await this.fetchPage({ ...this.asked, limit: PAGE, ...(from && { iterator: from }) }, signal);
        if (signal.aborted) return;
        const rows = page.data.filter((row) => !this.known.has(row.id));
        if (rows.length > 0 || this.pages.length === 0) {
          this.pages.push({ from, count: rows.length, rows, loading: false });
        }
        found += rows.length;
        const ends = page.done || page.iterator === null || page.iterator === from;
        this.next = page.iterator ?? this.next;
        const on = !ends && found < this.wanted / 2 && !this.state.stopped;
        this.change({ done: ends, loading: on, searchedTo: page.searchedTo ?? this.state.searchedTo });
        if (!on) return;
      }
    } catch (error) {
      if (!signal.aborted) this.change({ loading: false, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  /** Stops a search in payloads after the step that is under way. */
  stop(): void {
    this.change({ stopped: true });
  }

  private async again(page: Page): Promise<void> {
    if (page.loading) return;
    page.loading = true;
    const signal = this.closing.signal;
    try {
      const got = await this.fetchPage({ ...this.asked, limit: PAGE, ...(page.from && { iterator: page.from }) }, signal);
      if (signal.aborted) return;
      page.rows = got.data.filter((row) => !this.known.has(row.id)).slice(0, page.count);
      page.count = page.rows.length;
      this.change({});
    } catch (error) {
      if (!signal.aborted) this.change({ error: error instanceof Error ? error : new Error(String(error)) });
    } finally {
      page.loading = false;
    }
  }

  /** An event that came: shown at once when the reader is at the top and wants it, else counted. */
  came(event: Event, show: boolean): void {
    if (this.known.has(event.id)) return;
    this.known.add(event.id);
    this.held.push(event);
    if (this.held.length > NEW_MAX) {
      const gone = this.held.shift();
      if (gone) this.known.delete(gone.id);
      this.lost += 1;
    }
    if (show) this.show();
    else this.change({});
  }

  /** Shows what waits. Answers false if there was too much of it: then the list is to be made anew. */
  show(): boolean {
    if (this.lost > 0) return false;
    this.fresh = [...this.held.reverse(), ...this.fresh];
    this.held = [];
    while (this.fresh.length > NEW_MAX) {
      // What is pushed out at the bottom becomes a page of its own, so that nothing disappears.
      const rows = this.fresh.splice(NEW_MAX - PAGE);
      for (const row of rows) this.known.delete(row.id);
      this.pages.unshift({ from: this.fresh.at(-1)?.id, count: rows.length, rows, loading: false });
    }
    this.change({});
    return true;
  }

  /** The newest event that is known, shown or not. */
  newest(): string | undefined {
    return this.held.at(-1)?.id ?? this.fresh[0]?.id ?? this.pages[0]?.rows?.[0]?.id;
  }

  /** Asks how the rows in sight stand now. */
  async refresh(first: number, last: number): Promise<void> {
    const above = first > 0 ? this.row(first - 1)?.id : undefined;
    const limit = Math.min(250, Math.max(1, last - first + 1));
    const got = await this.fetchPage({ ...this.asked, limit, ...(above && { iterator: above }) }, this.closing.signal);
    const now = new Map(got.data.map((row) => [row.id, row]));
    const renew = (rows: Event[]) => rows.map((row) => now.get(row.id) ?? row);
    this.fresh = renew(this.fresh);
    for (const page of this.pages) {
      if (page.rows?.some((row) => now.has(row.id))) page.rows = renew(page.rows);
    }
    this.change({});
  }

  /** Asks for the first page again, where events may come into the list late; the reader is at its top. */
  async renew(): Promise<void> {
    const got = await this.fetchPage({ ...this.asked, limit: PAGE }, this.closing.signal);
    const [first] = this.pages;
    const same = first?.rows?.length === got.data.length && got.data.every((row, index) => row.id === first.rows?.[index]?.id);
    if (same && first) {
      first.rows = got.data;
      this.change({});
      return;
    }
    this.pages = [{ from: undefined, count: got.data.length, rows: got.data, loading: false }];
    this.next = got.iterator ?? undefined;
    this.change({ done: got.done || got.iterator === null });
  }

  /** The rows that are in memory, newest first. */
  loaded(): Event[] {
    return [...this.fresh, ...this.pages.flatMap((page) => page.rows ?? [])];
  }

  private change(change: Partial<ListState>): void {
    this.state = {
      ...this.state, ...change,
      rows: this.fresh.length + this.pages.reduce((sum, page) => sum + page.count, 0),
      waiting: this.held.length + this.lost,
      version: this.state.version + 1,
    };
    for (const listener of this.listeners) listener();
  }
}
