// Every page and its path. Pages come as files of their own when they are first opened, so that the
// first page is small; what a page takes from the URL is read by the page's `search` function.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";

import { search as auditSearch } from "./pages/audit/search";
import { search as eventsSearch } from "./pages/events/search";
import { search as overviewSearch } from "./pages/overview/search";
import { search as quarantineSearch } from "./pages/quarantine/search";
import { applicationSearch, search as applicationsSearch } from "./pages/applications/search";
import { endpointSearch, search as endpointsSearch } from "./pages/endpoints/search";
import { eventTypeSearch, search as eventTypesSearch } from "./pages/event-types/search";
import { PageSkeleton } from "./parts/Page";
import { Lost, PageFailed } from "./shell/Lost";
import { listSearch as sourcesSearch, newSearch as newSourceSearch, sourceSearch } from "./pages/sources/search";
import { Shell } from "./shell/Shell";

const root = createRootRoute({ component: Shell });
const under = { getParentRoute: () => root } as const;

const overview = createRoute({ ...under, path: "/", validateSearch: overviewSearch, component: lazyRouteComponent(() => import("./pages/overview"), "OverviewPage") });
const events = createRoute({ ...under, path: "/events", validateSearch: eventsSearch, component: lazyRouteComponent(() => import("./pages/events"), "EventsPage") });
const event = createRoute({ ...under, path: "/events/$eventId", component: lazyRouteComponent(() => import("./pages/events/event"), "EventPage") });
const sources = createRoute({ ...under, path: "/sources", validateSearch: sourcesSearch, component: lazyRouteComponent(() => import("./pages/sources"), "SourcesPage") });
const newSource = createRoute({ ...under, path: "/sources/new", validateSearch: newSourceSearch, component: lazyRouteComponent(() => import("./pages/sources/new"), "NewSourcePage") });
const source = createRoute({ ...under, path: "/sources/$sourceId", validateSearch: sourceSearch, component: lazyRouteComponent(() => import("./pages/sources/source"), "SourcePage") });
const quarantine = createRoute({ ...under, path: "/quarantine", validateSearch: quarantineSearch, component: lazyRouteComponent(() => import("./pages/quarantine"), "QuarantinePage") });
const refused = createRoute({ ...under, path: "/quarantine/$number", component: lazyRouteComponent(() => import("./pages/quarantine/refused"), "RefusedPage") });
const endpoints = createRoute({ ...under, path: "/endpoints", validateSearch: endpointsSearch, component: lazyRouteComponent(() => import("./pages/endpoints"), "EndpointsPage") });
const endpoint = createRoute({ ...under, path: "/endpoints/$endpointId", validateSearch: endpointSearch, component: lazyRouteComponent(() => import("./pages/endpoints/endpoint"), "EndpointPage") });
const applications = createRoute({ ...under, path: "/applications", validateSearch: applicationsSearch, component: lazyRouteComponent(() => import("./pages/applications"), "ApplicationsPage") });
const application = createRoute({ ...under, path: "/applications/$applicationId", validateSearch: applicationSearch, component: lazyRouteComponent(() => import("./pages/applications/application"), "ApplicationPage") });
const eventTypes = createRoute({ ...under, path: "/event-types", validateSearch: eventTypesSearch, component: lazyRouteComponent(() => import("./pages/event-types"), "EventTypesPage") });
const eventType = createRoute({ ...under, path: "/event-types/$name", validateSearch: eventTypeSearch, component: lazyRouteComponent(() => import("./pages/event-types/event-type"), "EventTypePage") });
const audit = createRoute({ ...under, path: "/audit", validateSearch: auditSearch, component: lazyRouteComponent(() => import("./pages/audit"), "AuditPage") });
const settings = createRoute({ ...under, path: "/settings", component: lazyRouteComponent(() => import("./pages/settings"), "SettingsPage") });

const tree = root.addChildren([
  overview, events, event, sources, newSource, source, quarantine, refused, endpoints, endpoint,
  applications, application, eventTypes, eventType, audit, settings,
]);

export function makeRouter() {
  return createRouter({
    routeTree: tree,
    defaultPreload: "intent",
    scrollRestoration: true,
    defaultPendingMs: 150,
    defaultPendingComponent: PageSkeleton,
    defaultErrorComponent: PageFailed,
    defaultNotFoundComponent: Lost,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
