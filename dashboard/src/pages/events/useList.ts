// The list of a view, kept while somebody looks at one event and comes back; new events and new states
// come into it by themselves.
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { eventPage } from "../../api/queries/events";
import { EventList } from "./list";
import { asked, type EventsSearch, searchesPayloads } from "./search";
import { follow, type TailState } from "./tail";

const REFRESH_MS = 2_500;
const RENEW_MS = 4_000;
const REFRESH_QUIET_MS = 15_000;

interface Kept {
  key: string;
  list: EventList;
  active: number;
}
// One list outlives its page, so that "back" comes to the same place.
let kept: Kept | null = null;

// States that an event has only later: events come into such a list long after they came.
const LATE = ["delivered", "failed", "cancelled"];
const isLate = (view: EventsSearch) => LATE.includes(view.status ?? "");

/** Whether new events can be told one by one. */
export const followable = (view: EventsSearch): boolean => !view.until && !view.id && !isLate(view);

function listFor(view: EventsSearch, round: number): { list: EventList | null; problem: Error | null; key: string } {
  const key = `${round} ${JSON.stringify(view)}`;
  if (kept?.key === key) return { list: kept.list, problem: null, key };
  try {
    const list = new EventList(asked(view, Date.now()), eventPage);
    kept = { key, list, active: 0 };
    return { list, problem: null, key };
  } catch (error) {
    return { list: null, problem: error instanceof Error ? error : new Error(String(error)), key };
  }
}

const nothing = new EventList({}, () => new Promise(() => undefined));

export interface Live {
  state: TailState;
  problem: string | null;
  paused: boolean;
  possible: boolean;
}

/** The list of a view with everything that moves in it. `atTop` says whether new rows may be shown at once. */
export function useList(view: EventsSearch, paused: boolean, atTop: () => boolean) {
  const [round, setRound] = useState(0);
  const { list, problem, key } = useMemo(() => listFor(view, round), [view, round]);
  const shown = list ?? nothing;
  const state = useSyncExternalStore(shown.subscribe, shown.snapshot);
  useEffect(() => {
    list?.open();
    return () => list?.close();
  }, [list]);

  const [tail, setTail] = useState<{ state: TailState; problem: string | null }>({ state: "connecting", problem: null });
  const hold = useRef(paused);
  useEffect(() => { hold.current = paused; }, [paused]);
  const possible = followable(view);
  const ready = list !== null && (state.rows > 0 || state.done);
  useEffect(() => {
    if (!list || !possible || !ready) return;
    return follow(asked(view, Date.now()), list.newest(), {
      onEvent: (event) => list.came(event, !hold.current && atTop()),
      onState: (now, said) => setTail({ state: now, problem: said ?? null }),
    });
  }, [list, possible, ready, view, atTop]);

  const sight = useRef<[number, number]>([0, 0]);
  const onSight = useCallback((first: number, last: number) => {
    sight.current = [first, last];
    list?.sight(first, last);
  }, [list]);
  useRefreshing(list, sight, isLate(view) && !view.until && !view.id && !searchesPayloads(view) ? atTop : null);

  const anew = useCallback(() => setRound((before) => before + 1), []);
  const show = useCallback(() => { if (!list?.show()) anew(); }, [list, anew]);
  const remember = useCallback((active: number) => { if (kept?.key === key) kept.active = active; }, [key]);
  // Where one was when this list was left; read once, or every step would count as a new list.
  const remembered = useMemo(() => (kept?.key === key ? kept.active : 0), [key]);
  return {
    list: shown, state, problem, onSight, anew, show, remember,
    live: { ...tail, paused, possible } satisfies Live,
    remembered,
  };
}

// States change after a row was told: those in sight are asked for again, sooner while something is under way.
// `renewAtTop` says whether the reader is at the top of a list that is asked for as a whole.
function useRefreshing(list: EventList | null, sight: { current: [number, number] }, renewAtTop: (() => boolean) | null) {
  useEffect(() => {
    if (!list) return;
    let last = Date.now();
    let busy = false;
    const timer = setInterval(() => {
      const [first, end] = sight.current;
      if (busy || document.hidden || list.snapshot().loading) return;
      const renews = renewAtTop?.() ?? false;
      if (list.snapshot().rows === 0 && !renews) return;
      let pending = false;
      for (let index = first; index <= end && !pending; index += 1) pending = list.row(index)?.state === "pending";
      if (Date.now() - last < (renews ? RENEW_MS : pending ? REFRESH_MS : REFRESH_QUIET_MS)) return;
      last = Date.now();
      busy = true;
      // What fails here is asked for again a moment later; the list itself says when the gateway is gone.
      void (renews ? list.renew() : list.refresh(first, end)).catch(() => undefined).finally(() => { busy = false; });
    }, 500);
    return () => clearInterval(timer);
  }, [list, sight, renewAtTop]);
}
