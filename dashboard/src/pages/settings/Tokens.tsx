import { Button, Skeleton, Table, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { revokeToken, type TokenOut, tokensQuery } from "../../api/queries/home";
import { confirm } from "../../parts/Confirm";
import { notify } from "../../parts/notify";
import { State } from "../../parts/State";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { NewToken } from "./NewToken";
import { roleName } from "./roles";
import { Section } from "./Section";

const LEAD = "A token signs in here and calls the API. Its text is shown once, when it is made; afterwards only its name is known.";

/** The tokens of this environment: made, shown once, revoked. */
export function Tokens() {
  const tokens = useInfiniteQuery(tokensQuery);
  const [making, setMaking] = useState(false);
  const list = tokens.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Section title="Tokens" lead={LEAD} action={<Button leftSection={<IconPlus size={15} />} onClick={() => setMaking(true)}>New token</Button>}>
      {tokens.error && <Trouble error={tokens.error} retry={() => void tokens.refetch()} />}
      {tokens.isPending && <Skeleton h={90} role="status" aria-label="Loading" />}
      {tokens.data && list.length === 0 && (
        <Text c="dimmed">No tokens besides the operator's own. Make one for each person and each program, so that one can be revoked without the others.</Text>
      )}
      {list.length > 0 && (
        <Table.ScrollContainer minWidth={600} scrollAreaProps={{ tabIndex: 0 }}>
          <Table>
            <Table.Thead>
              <Table.Tr><Table.Th>Name</Table.Th><Table.Th>Role</Table.Th><Table.Th>Payloads</Table.Th><Table.Th>Made</Table.Th><Table.Th>Ends</Table.Th><Table.Th><span className="visually-hidden">Actions</span></Table.Th></Table.Tr>
            </Table.Thead>
            <Table.Tbody>{list.map((token) => <Row key={token.id} token={token} />)}</Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {tokens.hasNextPage && <Button mt="xs" variant="default" loading={tokens.isFetchingNextPage} onClick={() => void tokens.fetchNextPage()}>More</Button>}
      {making && <NewToken onClose={() => setMaking(false)} />}
    </Section>
  );
}

function Row({ token }: { token: TokenOut }) {
  const queries = useQueryClient();
  const ended = token.expiresAt !== null && Date.parse(token.expiresAt) < Date.now();
  const revoke = async () => {
    const yes = await confirm({
      title: `Revoke the token ${token.name}?`,
      message: "Whoever uses it is refused from now on, and browser sessions begun with it end. This cannot be taken back; make a new token instead.",
      confirmLabel: "Revoke the token", danger: true,
    });
    if (!yes) return;
    try {
      await revokeToken(token.id);
      notify.done(`The token ${token.name} is revoked.`);
      await queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
    } catch (error) {
      notify.failed(error);
    }
  };
  return (
    <Table.Tr>
      <Table.Td><Text fw={500} className="foreign">{token.name}</Text></Table.Td>
      <Table.Td>{roleName(token.role)}</Table.Td>
      <Table.Td>{token.role === "admin" || token.payloads !== false ? "seen" : "hidden"}</Table.Td>
      <Table.Td><Time at={token.createdAt} show="ago" quiet /></Table.Td>
      <Table.Td>{token.expiresAt === null ? <Text span c="dimmed">never</Text> : ended ? <State state="expired" /> : <Time at={token.expiresAt} show="ago" quiet />}</Table.Td>
      <Table.Td ta="right"><Button variant="subtle" color="red" aria-label={`Revoke ${token.name}`} onClick={() => void revoke()}>Revoke</Button></Table.Td>
    </Table.Tr>
  );
}
