import { Modal, Text } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type AnyRouter, useRouter } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useId, useState } from "react";

import { answer, api } from "../api/client";
import { endpointsQuery, type Me, sourcesQuery } from "../api/queries/common";
import { useReturnFocus } from "../parts/useReturnFocus";
import { explained } from "../parts/Trouble";
import { type Destination, destinations, type Known } from "./destinations";

const query = { params: { query: { limit: 250 } } };

function useKnown(): Known {
  const sources = useQuery({ ...sourcesQuery, staleTime: 30_000 });
  const endpoints = useQuery({ ...endpointsQuery, refetchInterval: false, staleTime: 30_000 });
  const applications = useQuery({ queryKey: ["finder", "applications"], staleTime: 30_000, queryFn: () => answer(api.GET("/api/v1/app", query)) });
  const types = useQuery({ queryKey: ["finder", "event-types"], staleTime: 30_000, queryFn: () => answer(api.GET("/api/v1/event-type", query)) });
  return {
    sources: sources.data?.data.map((one) => ({ id: one.id, uid: one.uid, name: one.uid })) ?? [],
    endpoints: endpoints.data?.data.map((one) => ({ id: one.id, uid: one.uid, name: one.source ? `${one.source}/${one.uid}` : one.uid })) ?? [],
    applications: applications.data?.data.map((one) => ({ id: one.id, uid: one.uid ?? null, name: one.name })) ?? [],
    eventTypes: types.data?.data.map((one) => one.name) ?? [],
  };
}

/** Finds a page by an id, a name or a text: arrows choose, Enter goes there. */
export function Finder({ me, onClose }: { me: Me; onClose: () => void }) {
  useReturnFocus();
  const router: AnyRouter = useRouter();
  const known = useKnown();
  const list = useId();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const [note, setNote] = useState<string | null>(null);
  const found = destinations(text, known, me);
  const at = Math.min(chosen, Math.max(found.length - 1, 0));

  const row = `${list}-${at}`;
  useEffect(() => document.getElementById(row)?.scrollIntoView({ block: "nearest" }), [row]);

  const go = async (destination: Destination | undefined) => {
    if (!destination) return;
    try {
      const target = await destination.target();
      if (!target) { setNote(`Nothing with the id ${destination.label} is kept here (any more).`); return; }
      onClose();
      await router.navigate(target);
    } catch (error) {
      setNote(explained(error).title);
    }
  };
  const pressed = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) { event.preventDefault(); setChosen((at + step + found.length) % Math.max(found.length, 1)); }
    if (event.key === "Enter") { event.preventDefault(); void go(found[at]); }
  };
  return (
    <Modal.Root opened onClose={onClose} padding={0} centered={false} yOffset="10dvh" size={560}>
      <Modal.Overlay backgroundOpacity={0.4} />
      <Modal.Content aria-label="Search">
        <div className="finder-field">
          <IconSearch size={17} aria-hidden />
          <input data-autofocus type="text" role="combobox" aria-label="Search, or paste an id" aria-expanded aria-controls={list}
            aria-activedescendant={found[at] ? row : undefined} autoComplete="off" spellCheck={false}
            placeholder="An id, a name, or a text in payloads" value={text} onKeyDown={pressed}
            onChange={(change) => { setText(change.currentTarget.value); setChosen(0); setNote(null); }} />
          <kbd>Esc</kbd>
        </div>
        <ul className="finder-list" role="listbox" id={list} aria-label="Found">
          {found.map((one, place) => (
            <li key={one.key} id={`${list}-${place}`} role="option" aria-selected={place === at}
              onMouseMove={() => setChosen(place)} onClick={() => void go(one)}>
              <span className="foreign">{one.label}</span><small>{one.kind}</small>
            </li>
          ))}
        </ul>
        {(note ?? (found.length === 0 ? "Nothing is called so." : null)) && (
          <Text className="finder-note" c="dimmed" role="status">{note ?? "Nothing is called so."}</Text>
        )}
      </Modal.Content>
    </Modal.Root>
  );
}
