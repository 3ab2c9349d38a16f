import { Alert, Button, Group, List, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";

import { ApiProblem } from "../api/client";

interface Told {
  title: string;
  todo: string;
}

const RIGHTS = new Set(["forbidden", "payloads_hidden", "not_allowed"]);

/** An error in two sentences: what happened, and what to do. */
export function explained(error: unknown): Told {
  if (error instanceof ApiProblem) {
    if (error.hint) return { title: error.message, todo: error.hint };
    if (error.status === 403 || RIGHTS.has(error.code)) return { title: error.message, todo: "Your sign-in has not the right to this. Ask an admin for another role." };
    if (error.status === 404) return { title: error.message, todo: "It may have been deleted, or it is older than what the gateway keeps." };
    if (error.status === 429) return { title: error.message, todo: "Wait a moment, then try again." };
    if (error.status >= 500) return { title: error.message, todo: `Try again; the gateway's log says more (code ${error.code}).` };
    return { title: error.message, todo: error.flaws.length > 0 ? "Change what is named here, then try again." : `Code ${error.code}.` };
  }
  if (error instanceof TypeError) {
    return { title: "The gateway cannot be reached.", todo: "It may be restarting, or the network is gone. This page asks again by itself." };
  }
  return { title: "This page has failed.", todo: error instanceof Error ? error.message : String(error) };
}

/** What went wrong and what to do. */
export function Trouble({ error, retry }: { error: unknown; retry?: () => void }) {
  const { title, todo } = explained(error);
  const flaws = error instanceof ApiProblem ? error.flaws : [];
  return (
    <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} title={title} role="alert">
      <Group justify="space-between" align="end" gap="xs">
        <div>
          {flaws.length > 0 && (
            <List size="sm" mb={4}>
              {flaws.map((flaw) => (
                <List.Item key={flaw.place + flaw.text}><span className="mono foreign">{flaw.place}</span> {flaw.text}</List.Item>
              ))}
            </List>
          )}
          <Text className="foreign">{todo}</Text>
        </div>
        {retry && <Button variant="default" onClick={retry}>Try again</Button>}
      </Group>
    </Alert>
  );
}
