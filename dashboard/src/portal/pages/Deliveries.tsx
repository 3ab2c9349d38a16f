import { useQuery } from "@tanstack/react-query";

import { useRights } from "../context";
import { MessageList } from "../MessageList";
import { Page } from "../Page";
import { endpointsQuery } from "../queries";

/** Everything that was sent, to all endpoints or one. */
export function DeliveriesPage({ query }: { query: URLSearchParams }) {
  const { app } = useRights();
  const endpoints = useQuery(endpointsQuery(app));
  return (
    <Page title="Deliveries" lead="Every event that was sent to you, with each attempt and what your server answered.">
      <MessageList endpoint={query.get("endpoint")} endpoints={endpoints.data} query={query} here={["deliveries"]} />
    </Page>
  );
}
