import { Anchor, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { type Me, statsQuery } from "../../api/queries/common";
import { nodesQuery, signInQuery } from "../../api/queries/home";
import { bytes, counted, fullCount } from "../../parts/format";
import { Time } from "../../parts/Time";
import { roleName } from "./roles";
import { Section } from "./Section";

/** Which gateway this is, how much it keeps, and who looks at it. */
export function About({ me }: { me: Me }) {
  const ways = useQuery(signInQuery);
  const stats = useQuery({ ...statsQuery, refetchInterval: 10_000 });
  const nodes = useQuery({ ...nodesQuery, enabled: me.operator });
  const shared = nodes.data?.store === "postgres";
  // Of the whole store; null in other environments than the first.
  const { bytes: size = null, segments = null, events = null, quarantined = null } = stats.data ?? {};
  return (
    <Section title="About" lead="This gateway, and you.">
      <Table maw={640} className="about">
        <Table.Tbody>
          <Row name="Version">{ways.data?.version ?? "–"}</Row>
          {size !== null && segments !== null && events !== null && (
            <Row name="Store">{bytes(size)} in {shared ? "PostgreSQL" : counted(segments, "segment")}, {fullCount(events)} events</Row>
          )}
          {quarantined !== null && <Row name="Quarantine">{counted(quarantined, "refused request")}</Row>}
          <Row name="Signed in as">
            <span className="foreign">{me.name ?? (me.operator ? "Operator" : "–")}</span> <Text span c="dimmed">({me.operator ? "operator" : roleName(me.role).toLowerCase()}, payloads {me.payloads ? "seen" : "hidden"})</Text>
          </Row>
          {me.expiresAt && <Row name="Session ends"><Time at={me.expiresAt} /></Row>}
          <Row name="Signing in">{ways.data?.oidc ? `Token, or ${ways.data.oidc.name}` : "Token"}</Row>
          <Row name="Documents">
            <Anchor href="/api/v1/docs">API reference</Anchor> · <Anchor href="/api/v1/openapi.json">OpenAPI document</Anchor> · <Anchor href="/catalogue">Event catalogue</Anchor>
          </Row>
        </Table.Tbody>
      </Table>
    </Section>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return <Table.Tr><Table.Th scope="row" w={140}>{name}</Table.Th><Table.Td>{children}</Table.Td></Table.Tr>;
}
