import { Skeleton } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { EndpointTransformation, type Transformation } from "../parts/EndpointTransformation";
import { notify } from "../parts/notify";
import { Trouble } from "../parts/Trouble";
import { api, ask } from "./api";
import { useRights } from "./context";
import { transformationQuery, type Endpoint } from "./queries";

/** Code of the customer that changes deliveries to this endpoint. */
export function TransformTab({ endpoint }: { endpoint: Endpoint }) {
  const { app } = useRights();
  const queries = useQueryClient();
  const found = useQuery(transformationQuery(app, endpoint.id));
  if (found.error) return <Trouble error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Skeleton h={240} />;
  const { code, enabled, variables } = found.data;
  const save = async (next: Transformation) => {
    await ask(api.PATCH("/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation", {
      params: { path: { app_id: app, endpoint_id: endpoint.id } }, body: next,
    }));
    await queries.invalidateQueries({ queryKey: [app, "transformation"] });
    notify.done(next.code === null ? "The transformation is removed." : "Saved. It holds for attempts from now on.");
  };
  return <EndpointTransformation transformation={{ code: code ?? null, enabled, variables: variables ?? null }} save={save} />;
}
