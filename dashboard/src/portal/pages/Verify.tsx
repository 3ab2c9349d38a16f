import { Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { Empty } from "../../parts/Empty";
import { useRights } from "../context";
import { Page } from "../Page";
import { to } from "../place";
import { endpointsQuery } from "../queries";
import { VerifyGuide } from "../VerifyGuide";
import { nameOf } from "../words";

/** How to verify, and where each endpoint's secret is. */
export function VerifyPage() {
  const { app, seeSecret } = useRights();
  const endpoints = useQuery(endpointsQuery(app));
  return (
    <Page title="Verify" lead="How your server knows that a request is genuine.">
      <VerifyGuide />
      {seeSecret && endpoints.isPending && <Skeleton h={60} />}
      {seeSecret && endpoints.data?.length === 0 && <Empty title="No secret yet">Each endpoint has a secret of its own. Add an endpoint to get one.</Empty>}
      {seeSecret && endpoints.data && endpoints.data.length > 0 && (
        <section>
          <Text mb="xs">Each endpoint has a secret of its own:</Text>
          <ul className="rows">
            {endpoints.data.map((one) => (
              <li key={one.id}>
                <a className="row endpoint" href={to(["endpoints", one.id, "verify"])}>
                  <div><Text fw={500} className="foreign">{nameOf(one)}</Text><Text size="xs" c="dimmed" className="mono foreign">{one.url}</Text></div>
                  <Text className="end" c="dimmed">Show its secret</Text>
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </Page>
  );
}
