// What the portal tells the page that embeds it: how high it is, that it is ready, that its session
// ended. Only to the origin that the page named itself, and only if that origin really is above.

import type { Look } from "./start";

export type Message =
  | { type: "becket.portal.ready" }
  | { type: "becket.portal.resize"; height: number }
  | { type: "becket.portal.session-ended" };

/** The origin that messages go to, or `null` if nobody has to know anything. */
export function listenerOf(look: Look): string | null {
  if (window.parent === window || look.origin === null) return null;
  const above = window.location.ancestorOrigins as DOMStringList | undefined;
  if (above) return [...above].includes(look.origin) ? look.origin : null;
  // Firefox tells only who opened the frame.
  try {
    return new URL(document.referrer).origin === look.origin ? look.origin : null;
  } catch {
    return null;
  }
}

export interface Frame {
  framed: boolean;
  tell: (message: Message) => void;
  /** Reports the height of an element now and whenever it changes. */
  follow: (element: HTMLElement) => () => void;
}

export function frameOf(look: Look): Frame {
  const origin = listenerOf(look);
  const tell = (message: Message) => {
    // `parent` may be a frame of the named page's own making: the browser drops the message unless
    // the origin fits.
    if (origin !== null) window.parent.postMessage(message, origin);
  };
  return {
    framed: window.parent !== window,
    tell,
    follow(element) {
      let told = 0;
      const watch = new ResizeObserver(() => {
        const height = Math.ceil(element.getBoundingClientRect().height);
        if (height === told) return;
        told = height;
        tell({ type: "becket.portal.resize", height });
      });
      watch.observe(element);
      return () => watch.disconnect();
    },
  };
}
