import { Alert, Button, Group, Skeleton, Stack, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { useSelf } from "../../api/queries/common";
import { environmentsQuery, makeEnvironment } from "../../api/queries/home";
import { CodeBlock } from "../../parts/CodeBlock";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { Section } from "./Section";

const LEAD = "An environment is a tenant of its own, say staging: nobody sees another's sources, endpoints, events or tokens. You are in one by the token with which you have signed in.";

/** The environments of the installation; a new one comes with its first admin token. */
export function Environments() {
  const me = useSelf();
  const queries = useQueryClient();
  const environments = useQuery(environmentsQuery);
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: makeEnvironment,
    onSuccess: () => { setName(""); return queries.invalidateQueries({ queryKey: environmentsQuery.queryKey }); },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "") make.mutate(name.trim());
  };
  const list = environments.data?.data ?? [];
  return (
    <Section title="Environments" lead={LEAD}>
      <Stack gap="sm">
        {environments.error && <Trouble error={environments.error} retry={() => void environments.refetch()} />}
        {environments.isPending && <Skeleton h={60} role="status" aria-label="Loading" />}
        {environments.data && (
          <Table maw={560}>
            <Table.Thead><Table.Tr><Table.Th w={80}>Number</Table.Th><Table.Th>Name</Table.Th><Table.Th>Made</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              <Row number={1} name="The first one" own={me.environment === 1} createdAt={null} />
              {list.map((one) => <Row key={one.number} {...one} own={one.number === me.environment} />)}
            </Table.Tbody>
          </Table>
        )}
        {make.error && <Trouble error={make.error} />}
        {make.data && (
          <Alert color="yellow" variant="light" title={`The environment ${make.data.name} is made`}>
            <Text mb={6}>Sign in with its first admin token to work in it. The token is shown only now.</Text>
            <CodeBlock text={make.data.adminToken.token} copyLabel="Copy the token" wrap />
          </Alert>
        )}
        <form onSubmit={submit}>
          <Group gap="xs" align="end">
            <TextInput label="New environment" placeholder="staging" value={name} maxLength={100} onChange={(change) => setName(change.currentTarget.value)} />
            <Button type="submit" variant="default" loading={make.isPending} disabled={name.trim() === ""}>Make it</Button>
          </Group>
        </form>
      </Stack>
    </Section>
  );
}

function Row({ number, name, own, createdAt }: { number: number; name: string; own: boolean; createdAt: string | null }) {
  return (
    <Table.Tr>
      <Table.Td className="numbers">{number}</Table.Td>
      <Table.Td><span className="foreign">{name}</span>{own && <Text span size="xs" c="dimmed"> you are here</Text>}</Table.Td>
      <Table.Td>{createdAt ? <Time at={createdAt} show="ago" quiet /> : "–"}</Table.Td>
    </Table.Tr>
  );
}
