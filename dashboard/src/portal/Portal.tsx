import { Center, Loader, MantineProvider, type MantineColorSchemeManager } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, useEffect, useMemo, useRef } from "react";

import { ApiProblem } from "../api/client";
import { nonce } from "../nonce";
import { ConfirmHost } from "../parts/Confirm";
import { paint, type Brand } from "./brand";
import { BrandContext } from "./context";
import { Ended, Refused } from "./Doors";
import type { Frame } from "./frame";
import { useSession } from "./session";
import { Shell } from "./Shell";
import type { Look } from "./start";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      retry: (failures, error) => !(error instanceof ApiProblem) && failures < 3,
    },
  },
});

// Nothing of the colour scheme is remembered: it comes from the brand, the link or the system.
const forgetful: MantineColorSchemeManager = {
  get: (value) => value, set: () => undefined, subscribe: () => undefined, unsubscribe: () => undefined, clear: () => undefined,
};

export interface PortalProps {
  brand: Brand;
  look: Look;
  frame: Frame;
}

/** Everything around the pages: the brand's look, who is in, and how high it is. */
export function Portal({ brand, look, frame }: PortalProps) {
  const { theme, resolver, scheme } = useMemo(() => paint(brand, look), [brand, look]);
  return (
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={resolver} getStyleNonce={() => nonce}
        colorSchemeManager={forgetful} defaultColorScheme="auto" {...(scheme && { forceColorScheme: scheme })}>
        <QueryClientProvider client={queries}>
          <BrandContext value={brand}><Inside frame={frame} /></BrandContext>
          <Notifications position={frame.framed ? "top-center" : "bottom-right"} limit={3} />
          <ConfirmHost />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>
  );
}

function Inside({ frame }: { frame: Frame }) {
  const session = useSession();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    frame.tell({ type: "becket.portal.ready" });
    return box.current ? frame.follow(box.current) : undefined;
  }, [frame]);
  // What a fresh link would mend; somebody who left did so on purpose.
  const over = session.at === "ended" || (session.at === "refused" && (session.why === "link-used" || session.why === "no-link"));
  useEffect(() => {
    if (over) frame.tell({ type: "becket.portal.session-ended" });
  }, [frame, over]);
  useEffect(() => {
    // What has been seen goes away with the one who saw it.
    if (session.at === "refused") queries.clear();
  }, [session.at]);
  return (
    <div ref={box} className={frame.framed ? "portal framed" : "portal"}>
      {session.at === "opening" && <Center mih={320}><Loader aria-label="Opening" /></Center>}
      {session.at === "refused" && <Refused why={session.why} retry={session.retry} />}
      {(session.at === "open" || session.at === "ended") && (
        <Shell key={session.who.applicationId} who={session.who} framed={frame.framed} />
      )}
      {session.at === "ended" && <Ended why={session.why} />}
    </div>
  );
}
