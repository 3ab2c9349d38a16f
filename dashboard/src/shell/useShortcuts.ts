import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";

import type { Me } from "../api/queries/common";
import { pagesOf } from "./pages";

const OFF = "becket.shortcuts.off";
const CHORD_MS = 1_200;

/** Whether single keys act; people who speak to their computer switch them off. */
export const shortcutsOn = (): boolean => localStorage.getItem(OFF) === null;

export function switchShortcuts(on: boolean) {
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement
    && (target.isContentEditable || target.matches("input, textarea, select") || target.closest("[role=dialog], [role=menu]") !== null);
}

/** `/` searches, `?` lists the keys, `g` and a letter goes to a page. Ctrl+K searches always. */
export function useShortcuts(me: Me, { find, help }: { find: () => void; help: () => void }) {
  const navigate = useNavigate();
  useEffect(() => {
    let began = 0;
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); find(); return; }
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target) || !shortcutsOn()) return;
      const going = performance.now() - began < CHORD_MS;
      began = 0;
      const page = going ? pagesOf(me).find((one) => one.key === event.key) : undefined;
      if (page) { event.preventDefault(); void navigate({ to: page.to }); }
      else if (event.key === "g") began = performance.now();
      else if (event.key === "/") { event.preventDefault(); find(); }
      else if (event.key === "?") { event.preventDefault(); help(); }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [me, find, help, navigate]);
}
