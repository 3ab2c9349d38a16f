// The frame of every page: the brand, whose portal it is, the four places, leaving.
import { Alert, Button, Center, Loader, Skeleton, Stack, Text } from "@mantine/core";
import { IconLogout } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Component, lazy, Suspense, useEffect, type ReactNode } from "react";

import { useNow } from "../parts/Time";
import { Trouble } from "../parts/Trouble";
import { WhoContext } from "./context";
import type { Who } from "./door";
import { Support } from "./Doors";
import { Logo } from "./Logo";
import { EndpointsPage } from "./pages/Endpoints";
import { to, usePlace } from "./place";
import { aboutQuery } from "./queries";
import { session } from "./session";

const EndpointPage = lazy(() => import("./pages/Endpoint").then(({ EndpointPage: page }) => ({ default: page })));
const NewEndpointPage = lazy(() => import("./pages/NewEndpoint").then(({ NewEndpointPage: page }) => ({ default: page })));
const DeliveriesPage = lazy(() => import("./pages/Deliveries").then(({ DeliveriesPage: page }) => ({ default: page })));
const MessagePage = lazy(() => import("./pages/Message").then(({ MessagePage: page }) => ({ default: page })));
const EventsPage = lazy(() => import("./pages/Events").then(({ EventsPage: page }) => ({ default: page })));
const VerifyPage = lazy(() => import("./pages/Verify").then(({ VerifyPage: page }) => ({ default: page })));

function places(who: Who): [string, string][] {
  const all: [string, string][] = [["endpoints", "Endpoints"], ["deliveries", "Deliveries"], ["events", "Events"], ["verify", "Verify"]];
  // The documented event types are those of customers; what a source sends, its provider documents.
  return who.kind === "source" ? all.filter(([name]) => name !== "events") : all;
}

function Content({ who }: { who: Who }) {
  const { parts, query } = usePlace();
  const [place, id, tab] = parts;
  if (place === "endpoints" && id === "new") return <NewEndpointPage />;
  if (place === "endpoints" && id) return <EndpointPage key={id} id={id} tab={tab ?? ""} query={query} />;
  if (place === "deliveries" && id) return <MessagePage key={id} id={id} />;
  if (place === "deliveries") return <DeliveriesPage query={query} />;
  if (place === "events" && who.kind === "customer") return <EventsPage name={id ?? null} />;
  if (place === "verify") return <VerifyPage />;
  return <EndpointsPage />;
}

/** Everything that is seen by somebody who is in. */
export function Shell({ who, framed }: { who: Who; framed: boolean }) {
  const about = useQuery(aboutQuery(who));
  const { parts } = usePlace();
  const here = parts[0] ?? "endpoints";
  useEffect(() => {
    // A token whose end is known ends on the page too, also when nothing is asked just then.
    const left = who.expiresAt ? Date.parse(who.expiresAt) - Date.now() : Number.NaN;
    if (Number.isNaN(left) || left > 2 ** 31 - 1) return undefined;
    const timer = setTimeout(() => session.end(), Math.max(0, left));
    return () => clearTimeout(timer);
  }, [who.expiresAt]);
  return (
    <WhoContext value={who}>
      <header className="portal-head">
        <div className="names">
          <Logo />
          {about.data ? <Text c="dimmed" className="foreign whose">{about.data.name}</Text> : <Skeleton h={16} w={120} />}
        </div>
        <Support />
        {!framed && (
          <Button variant="subtle" color="gray" leftSection={<IconLogout size={15} aria-hidden />} className="leave" onClick={() => void session.leave()}>Sign out</Button>
        )}
      </header>
      <nav className="portal-nav" aria-label="Pages">
        {places(who).map(([name, label]) => (
          <a key={name} href={to([name])} {...(here === name && { "aria-current": "page" as const })}>{label}</a>
        ))}
      </nav>
      <main className="portal-main">
        <EndsSoon expiresAt={who.expiresAt} />
        <Guard key={parts.slice(0, 2).join("/")}>
          <Suspense fallback={<Center mih={240}><Loader aria-label="Loading" /></Center>}>
            {about.error ? <Trouble error={about.error} retry={() => void about.refetch()} /> : <Content who={who} />}
          </Suspense>
        </Guard>
      </main>
    </WhoContext>
  );
}

const SOON_MS = 10 * 60_000;

function EndsSoon({ expiresAt }: { expiresAt: string | null }) {
  const now = useNow(15_000);
  if (!expiresAt) return null;
  const left = Date.parse(expiresAt) - now;
  if (left > SOON_MS || left <= 0) return null;
  return (
    <Alert color="yellow" variant="light" mb="md" role="status" title="Your session ends soon">
      <Text>In about {Math.max(1, Math.round(left / 60_000))} minutes. Save what you are working on; to go on after that, open a new link.</Text>
    </Alert>
  );
}

/** A page that fails leaves the others usable. */
class Guard extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return <Stack><Trouble error={this.state.error} retry={() => this.setState({ error: null })} /></Stack>;
  }
}
