import "./events.css";

import { ActionIcon, Button, Loader, Menu, Tooltip } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconDots, IconDownload, IconPlayerPause, IconPlayerPlay, IconRefresh, IconRepeat } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { endpointsQuery, useSelf } from "../../api/queries/common";
import { Empty } from "../../parts/Empty";
import { counted, fullCount } from "../../parts/format";
import { Page } from "../../parts/Page";
import { ReplayDialog } from "../../parts/ReplayDialog";
import { replayChosen, replayMatching, type ReplayWhich } from "../../parts/replaying";
import { save } from "../../parts/save";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import type { RowsHandle } from "../../parts/VirtualRows";
import { Filters } from "./Filters";
import { type EventsSearch, asked, isFiltered, searchesPayloads } from "./search";
import { Table } from "./Table";
import { type Live, useList } from "./useList";
import { Views } from "./Views";

const NONE: ReadonlySet<string> = new Set();

/** All events, newest first: found, followed, chosen, replayed. */
export function EventsPage() {
  const view = useSearch({ from: "/events" });
  const navigate = useNavigate({ from: "/events" });
  const self = useSelf();
  const phone = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false }) ?? false;
  const [paused, setPaused] = useState(false);
  const rows = useRef<RowsHandle | null>(null);
  const atTop = useCallback(() => rows.current?.atTop() ?? true, []);
  const { list, state, problem, live, onSight, anew, show, remember, remembered } = useList(view, paused, atTop);
  const [active, setActive] = useState(remembered);
  const [chosen, setChosen] = useState(NONE);
  useEffect(() => { setActive(remembered); setChosen(NONE); if (remembered > 0) rows.current?.reveal(remembered); }, [list, remembered]);
  const onActive = useCallback((index: number) => { setActive(index); remember(index); }, [remember]);
  const choose = useCallback((ids: string[], on: boolean) => setChosen((before) => {
    const next = new Set(before);
    for (const id of ids) { if (on) next.add(id); else next.delete(id); }
    return next;
  }), []);
  const change = useCallback((by: EventsSearch) => void navigate({
    search: (before) => Object.fromEntries(Object.entries({ ...before, ...by }).filter(([, value]) => value !== undefined)) as EventsSearch,
  }), [navigate]);
  const seenTypes = useMemo(() => [...new Set(list.loaded().flatMap((row) => row.eventType ?? []))], [list, state.version]);
  const [replaying, setReplaying] = useState<"chosen" | "matching" | null>(null);
  const error = problem ?? state.error;
  const empty = state.rows === 0 && state.done && !error;
  const display = () => { show(); rows.current?.top(); setActive(0); };
  const exportRows = () => {
    const wanted = chosen.size > 0 ? list.loaded().filter((row) => chosen.has(row.id)) : list.loaded();
    save("events.jsonl", "application/x-ndjson", wanted.map((row) => `${JSON.stringify(row)}\n`));
  };
  const matching = matchingOf(view);
  return (
    <div className="events-page">
      <Page wide title="Events" actions={
        <>
          <LiveButton live={live} waiting={state.waiting} onToggle={() => { if (paused) display(); setPaused(!paused); }} />
          <Views view={view} />
          <Menu position="bottom-end" shadow="md">
            <Menu.Target><ActionIcon variant="default" size={30} aria-label="More"><IconDots size={16} /></ActionIcon></Menu.Target>
            <Menu.Dropdown>
              <Menu.Item leftSection={<IconRefresh size={15} />} onClick={anew}>Load anew</Menu.Item>
              <Menu.Item leftSection={<IconDownload size={15} />} disabled={state.rows === 0} onClick={exportRows}>
                Export {chosen.size > 0 ? "selected" : fullCount(list.loaded().length)} events as JSON lines
              </Menu.Item>
              {self.changes && (
                <Menu.Item leftSection={<IconRepeat size={15} />} disabled={!matching.which} onClick={() => setReplaying("matching")}>
                  {matching.which ? "Replay all that match…" : `Replay all that match: ${matching.why}`}
                </Menu.Item>
              )}
            </Menu.Dropdown>
          </Menu>
        </>
      } />
      <Filters view={view} onChange={change} onClear={() => void navigate({ search: {} })} seenTypes={seenTypes} phone={phone} payloads={self.payloads} />
      {error && <Trouble error={error} retry={problem ? () => change({ where: undefined, filter: undefined }) : () => void list.more()} />}
      {chosen.size > 0
        ? <Chosen number={chosen.size} changes={self.changes} onReplay={() => setReplaying("chosen")} onExport={exportRows} onClear={() => setChosen(NONE)} />
        : <Standing view={view} live={live} state={state} onShow={display} onStop={() => list.stop()} onMore={() => void list.more()} />}
      {empty ? <NoEvents view={view} /> : (
        <Table list={list} state={state} active={active} onActive={onActive} chosen={chosen} onChoose={choose} onSight={onSight} handle={rows} phone={phone} />
      )}
      {replaying && (
        <Replaying kind={replaying} chosen={[...chosen]} which={matching.which} onClose={() => setReplaying(null)} onDone={() => void list.refresh(0, 50).catch(() => undefined)} />
      )}
    </div>
  );
}

function LiveButton({ live, waiting, onToggle }: { live: Live; waiting: number; onToggle: () => void }) {
  if (!live.possible) return null;
  const words = live.paused ? (waiting > 0 ? `Paused, ${fullCount(waiting)} new` : "Paused") : live.state === "broken" ? "Reconnecting" : "Live";
  return (
    <Tooltip label={live.paused ? "Show new events as they come" : live.problem ?? "New events appear by themselves. Pause to read in peace."}>
      <Button variant="default" onClick={onToggle} aria-pressed={!live.paused} leftSection={live.paused ? <IconPlayerPlay size={15} /> : <IconPlayerPause size={15} />}
        rightSection={<span className="live-dot" data-state={live.paused ? "paused" : live.state} />}>{words}</Button>
    </Tooltip>
  );
}

interface StandingProps {
  view: EventsSearch;
  live: Live;
  state: ReturnType<typeof useList>["state"];
  onShow: () => void;
  onStop: () => void;
  onMore: () => void;
}

/** How many there are, how far a search has come, and what waits. */
function Standing({ view, live, state, onShow, onStop, onMore }: StandingProps) {
  const searching = searchesPayloads(view);
  return (
    <div className="events-bar">
      <span role="status">
        {state.rows > 0 || state.done ? `${counted(state.rows, "event")}${state.done ? "" : " so far"}` : "Loading…"}
        {searching && state.loading && state.searchedTo && <>, searching at <Time at={state.searchedTo} show="exact" quiet /></>}
        {searching && !state.loading && !state.done && state.searchedTo && <>, searched back to <Time at={state.searchedTo} show="exact" quiet /></>}
        {searching && state.done && ", everything was searched"}
      </span>
      {state.loading && <Loader size={14} aria-label="Loading" />}
      {searching && state.loading && <Button size="compact-xs" variant="default" onClick={onStop}>Stop</Button>}
      {searching && !state.loading && !state.done && <Button size="compact-xs" variant="default" onClick={onMore}>Search further back</Button>}
      <span className="grow" />
      {state.waiting > 0 && <Button size="compact-xs" onClick={onShow}>{`Show ${counted(state.waiting, "new event")}`}</Button>}
      {live.paused && state.waiting === 0 && <span>New events are counted while paused.</span>}
    </div>
  );
}

function Chosen({ number, changes, onReplay, onExport, onClear }: { number: number; changes: boolean; onReplay: () => void; onExport: () => void; onClear: () => void }) {
  return (
    <div className="chosen-bar" role="region" aria-label="Selected events">
      <strong role="status">{counted(number, "event")} selected</strong>
      <span className="grow" />
      {changes && <Button size="compact-sm" leftSection={<IconRepeat size={15} />} onClick={onReplay}>Replay…</Button>}
      <Button size="compact-sm" variant="default" leftSection={<IconDownload size={15} />} onClick={onExport}>Export</Button>
      <Button size="compact-sm" variant="default" onClick={onClear}>Clear selection</Button>
    </div>
  );
}

function NoEvents({ view }: { view: EventsSearch }) {
  if (isFiltered(view)) {
    return <Empty title="No event fits these filters" action={<Button variant="default" renderRoot={(props) => <Link {...props} to="/events" search={{}} />}>Show all events</Button>}>Widen the time, or take a filter away.</Empty>;
  }
  return (
    <Empty title="No events yet" action={<Button renderRoot={(props) => <Link {...props} to="/sources" />}>Go to the sources</Button>}>
      <p>Every webhook that a source accepts, and every message posted for an application, appears here the moment it is kept.</p>
      <p>Give a provider the receiving URL of a source, or make an event with <code className="mono">becket trigger</code>.</p>
    </Empty>
  );
}

interface Matching { which: ReplayWhich | null; why: string }

// The API replays by source, endpoint, type, state and time; what else is filtered it cannot tell apart.
function matchingOf(view: EventsSearch): Matching {
  if (!view.source && !view.endpoint) return { which: null, why: "choose a source or an endpoint" };
  if (searchesPayloads(view) || view.id || view.verdict || view.application) return { which: null, why: "select the events instead" };
  const { since, until } = asked(view, Date.now());
  if (!since) return { which: null, why: "choose a time" };
  const states = ["pending", "delivered", "failed", "cancelled"] as const;
  const status = states.find((one) => one === view.status);
  if (view.status && !status) return { which: null, why: "these went nowhere" };
  return {
    why: "",
    which: {
      since: String(since), ...(until && { until: String(until) }), ...(view.source && { source: view.source }),
      ...(view.endpoint && { endpoint: view.endpoint }), ...(view.type && { eventTypes: view.type.split(",") }), ...(status && { status }),
    },
  };
}

function Replaying({ kind, chosen, which, onClose, onDone }: { kind: "chosen" | "matching"; chosen: string[]; which: ReplayWhich | null; onClose: () => void; onDone: () => void }) {
  const endpoints = useQuery({ ...endpointsQuery, refetchInterval: false });
  if (kind === "matching" && which) {
    const where = which.endpoint ? `to ${which.endpoint}` : "to every endpoint that they were planned for";
    return (
      <ReplayDialog title="Replay all that match" endpoints={[]} onClose={onClose} onDone={onDone}
        what={`All events of this view${which.source ? ` from ${which.source}` : ""} are delivered again ${where}, oldest first.`}
        run={(_, tell, signal) => replayMatching(which, tell, signal)} />
    );
  }
  return (
    <ReplayDialog title={`Replay ${counted(chosen.length, "event")}`} mayOnlyFailed onClose={onClose} onDone={onDone}
      what={`${counted(chosen.length, "event is", "events are")} delivered again.`}
      endpoints={endpoints.data?.data.map((one) => `${one.source}/${one.uid}`) ?? []}
      run={(to, tell, signal) => replayChosen(chosen, to, tell, signal)} />
  );
}

