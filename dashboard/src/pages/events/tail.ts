// New events as the gateway takes them: Server-Sent Events, read with `fetch` so that both a session
// and a token work. After a break it goes on behind the last event, so that none is missed or told twice.
import { api } from "../../api/client";
import type { Asked, Event } from "../../api/queries/events";

/** How the connection stands. */
export type TailState = "connecting" | "open" | "broken";

interface Told {
  onEvent: (event: Event) => void;
  onState: (state: TailState, problem?: string) => void;
}

const PAUSES_MS = [500, 1_000, 2_000, 5_000, 10_000];

/** Follows events until the answered function is called. */
export function follow(asked: Asked, after: string | undefined, told: Told): () => void {
  const stop = new AbortController();
  void run(asked, after, told, stop.signal);
  return () => stop.abort();
}

async function run(asked: Asked, after: string | undefined, told: Told, signal: AbortSignal) {
  let last = after;
  let failures = 0;
  while (!signal.aborted) {
    told.onState("connecting");
    try {
      await read(asked, last, signal, {
        open: () => { failures = 0; told.onState("open"); },
        event: (event) => { last = event.id; told.onEvent(event); },
      });
    } catch (error) {
      if (signal.aborted) return;
      told.onState("broken", error instanceof Error ? error.message : String(error));
    }
    const pause = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)] ?? 10_000;
    failures += 1;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

interface Heard {
  open: () => void;
  event: (event: Event) => void;
}

async function read(asked: Asked, after: string | undefined, signal: AbortSignal, heard: Heard) {
  const { data, error, response } = await api.GET("/api/v1/becket/tail", {
    params: { query: { ...asked, ...(after && { after }) } as never },
    headers: { accept: "text/event-stream" },
    parseAs: "stream",
    signal,
  });
  if (!response.ok || !data) {
    const detail = (error as { detail?: unknown } | undefined)?.detail;
    throw new Error(typeof detail === "string" ? detail : `the gateway answered ${response.status}`);
  }
  heard.open();
  const reader = (data as unknown as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string>;
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    const blocks = kept.split("\n\n");
    kept = blocks.pop() ?? "";
    for (const block of blocks) take(block, heard);
  }
}

function take(block: string, heard: Heard) {
  let kind = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length === 0) return;
  if (kind === "error") throw new Error((JSON.parse(data.join("\n")) as { detail?: string }).detail ?? "the gateway ended the stream");
  if (kind === "event") heard.event(JSON.parse(data.join("\n")) as Event);
}
