import { useQueryClient } from "@tanstack/react-query";

import { notify } from "../../parts/notify";
import { api, ask } from "../api";
import { useRights } from "../context";
import { EndpointFields, type Fields } from "../EndpointFields";
import { Page } from "../Page";
import { go, to } from "../place";
import { EndpointsPage } from "./Endpoints";

/** Adds an endpoint, then shows it with its secret. */
export function NewEndpointPage() {
  const { app, manage } = useRights();
  const queries = useQueryClient();
  // Nobody is led here without the right; an address that is typed shows the list.
  if (!manage) return <EndpointsPage />;
  const make = async (fields: Fields) => {
    const made = await ask(api.POST("/api/v1/app/{app_id}/endpoint", {
      params: { path: { app_id: app } }, body: { ...fields, disabled: false, metadata: {} },
    }));
    await queries.invalidateQueries({ queryKey: [app, "endpoints"] });
    notify.done("The endpoint is there. Events are delivered from now on.");
    go(to(["endpoints", made.id, "verify"]));
  };
  return (
    <Page title="Add an endpoint" back={{ label: "Endpoints", href: to(["endpoints"]) }}>
      <EndpointFields submitLabel="Add the endpoint" onSubmit={make} cancel={() => go(to(["endpoints"]))} />
    </Page>
  );
}
