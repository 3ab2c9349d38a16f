import { Button, Card, Group, Stack, Text, Title } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";

import { useSelf } from "../../api/queries/common";
import { CodeBlock } from "../../parts/CodeBlock";

interface Source {
  id: string;
  uid: string;
  provider: string;
  receivingUrl: string | null;
}

/** A gateway that has not seen anything yet: the way to the first event. */
export function FirstSteps({ sources }: { sources: Source[] }) {
  const me = useSelf();
  const first = sources[0];
  return (
    <Card padding="lg">
      <Title order={2} size="h3">The way to the first event</Title>
      <Text c="dimmed" mb="md">This gateway runs and has not received anything yet. The figures and charts come with the first event.</Text>
      <ol className="steps">
        <li data-done={first ? true : undefined}>
          <Title order={3} size="h4">Make a source</Title>
          {first
            ? <Text>{sources.length === 1 ? "There is one: " : `There are ${sources.length} already, the first is `}<Link className="link" to="/sources/$sourceId" params={{ sourceId: first.id }}>{first.uid}</Link>. Its page has the guide for its provider.</Text>
            : (
              <Stack gap="xs">
                <Text>A source is a receiving URL for one provider, say GitHub or Stripe. It checks who has sent a request, and keeps it.</Text>
                {me.changes && <div><Button leftSection={<IconPlus size={15} />} component={Link} to="/sources/new">New source</Button></div>}
              </Stack>
            )}
        </li>
        <li>
          <Title order={3} size="h4">Send the first event</Title>
          <Text mb={6}>{first
            ? "Give the receiving URL to the provider, or send something yourself: signed as the provider signs, or by hand to see how a request without a signature is refused and explained."
            : "From the machine that runs the gateway, once there is a source:"}</Text>
          <Stack gap="xs">
            <CodeBlock language="Shell" text={`becket trigger --source ${first?.uid ?? "SOURCE"}`} copyLabel="Copy the command" />
            {first?.receivingUrl && (
              <CodeBlock language="Shell" copyLabel="Copy the command" wrap
                text={`curl -X POST ${quoted(first.receivingUrl)} -H 'content-type: application/json' -d '{"hello":"becket"}'`} />
            )}
          </Stack>
        </li>
        <li>
          <Title order={3} size="h4">Add an endpoint</Title>
          <Group gap="xs" justify="space-between">
            <Text maw={640}>An endpoint is where events go: your own service. Becket signs what it sends, tries again for three days, and shows every attempt.</Text>
            <Button variant="default" component={Link} to="/endpoints">Endpoints</Button>
          </Group>
        </li>
      </ol>
    </Card>
  );
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
