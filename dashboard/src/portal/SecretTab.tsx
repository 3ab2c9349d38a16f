import { Stack, Text, Title } from "@mantine/core";

import { Secret } from "../parts/Secret";
import { api, ask } from "./api";
import { useRights } from "./context";
import type { Endpoint } from "./queries";
import { VerifyGuide } from "./VerifyGuide";

/** The endpoint's signing secret, and the code that verifies with it. */
export function SecretTab({ endpoint }: { endpoint: Endpoint }) {
  const { app, seeSecret, rotateSecret } = useRights();
  const path = { params: { path: { app_id: app, endpoint_id: endpoint.id } } };
  const show = async () => (await ask(api.GET("/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret", path))).key;
  const rotate = async (gracePeriodSeconds: number, key?: string) =>
    (await ask(api.POST("/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate", { ...path, body: { gracePeriodSeconds, key: key ?? null } }))).key;
  return (
    <Stack gap="lg" maw={760}>
      {seeSecret
        ? <Secret label="Signing secret" show={show} audited={false} {...(rotateSecret && { rotate })} />
        : <Text c="dimmed">Your access does not show secrets. Ask whoever manages your webhooks for this endpoint’s secret.</Text>}
      <section>
        <Title order={2} mb="xs">Verify what you receive</Title>
        <VerifyGuide />
      </section>
    </Stack>
  );
}
