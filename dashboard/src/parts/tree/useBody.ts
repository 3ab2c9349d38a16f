// A body as a page shows it: read in a worker, searched there, forgotten when the page goes.
import { useCallback, useEffect, useRef, useState } from "react";

import type { Order, Read, Told } from "./worker";

export interface Found {
  words: string;
  nodes: Uint32Array;
  more: boolean;
}

export interface BodyRead {
  read: Read | null;
  found: Found | null;
  searching: boolean;
  search: (words: string) => void;
  failed: string | null;
}

/** Reads a body. `json` says whether it is worth trying to read it as JSON. */
export function useBody(bytes: ArrayBuffer | undefined, json: boolean): BodyRead {
  const worker = useRef<Worker | null>(null);
  const words = useRef<[number, string]>([0, ""]);
  const [read, setRead] = useState<Read | null>(null);
  const [found, setFound] = useState<Found | null>(null);
  const [searching, setSearching] = useState(false);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    if (!bytes) return;
    const one = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.current = one;
    one.onmessage = ({ data }: MessageEvent<Told>) => {
      if (data.kind === "read") { setRead(data.read); return; }
      if (data.number !== words.current[0]) return;
      setSearching(false);
      setFound({ words: words.current[1], nodes: data.nodes, more: data.more });
    };
    one.onerror = (event) => setFailed(event.message || "the browser did not start the worker that reads it");
    // A copy: the page keeps its own for the bytes' view and the download.
    one.postMessage({ kind: "read", bytes, json } satisfies Order);
    return () => { one.terminate(); worker.current = null; setRead(null); setFound(null); setFailed(null); };
  }, [bytes, json]);
  const search = useCallback((next: string) => {
    words.current = [words.current[0] + 1, next];
    if (next === "") { setFound(null); setSearching(false); return; }
    setSearching(true);
    worker.current?.postMessage({ kind: "search", words: next, number: words.current[0] } satisfies Order);
  }, []);
  return { read, found, searching, search, failed };
}
