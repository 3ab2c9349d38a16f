import { Alert, Anchor, Button, Card, Center, Code, Divider, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";

import { ApiProblem, call } from "../api/client";
import { selfQuery, type SelfOut } from "../api/queries/common";
import { signInQuery } from "../api/queries/home";
import { explained } from "../parts/Trouble";
import { Mark } from "../shell/Mark";
import { problemText } from "./problems";

/** Asks who is there, at the address that was asked for: after signing in the page is there. */
export function SignIn({ ended }: { ended: boolean }) {
  const ways = useQuery(signInQuery);
  const router = useRouter();
  const problem = new URLSearchParams(window.location.search).get("problem");
  useEffect(() => { document.title = "Sign in · Becket"; }, []);

  const entered = () => {
    if (problem !== null) void router.navigate({ to: "/", replace: true });
  };
  const oidc = ways.data?.oidc;
  return (
    <Center mih="100dvh" p="md" bg="var(--becket-surface)" component="main">
      <Stack w="100%" maw={380} gap="md">
        <Stack gap={10} align="center">
          <Mark />
          <Title order={1} size="h2">Sign in to Becket</Title>
        </Stack>
        {problem !== null && (
          <Alert color="red" variant="light" role="alert" icon={<IconAlertTriangle size={18} />} title="You are not signed in">{problemText(problem)}</Alert>
        )}
        {problem === null && ended && (
          <Alert color="blue" variant="light" role="status">Your session has ended. Sign in again to go on where you were.</Alert>
        )}
        {ways.error && <Alert color="yellow" variant="light" role="alert">{explained(ways.error).title}</Alert>}
        <Card padding="lg" shadow="xs">
          <Stack>
            {oidc && (
              <>
                <Button size="sm" component="a" href={startUrl(oidc.startUrl)}>Sign in with {oidc.name}</Button>
                <Divider label="or with a token" labelPosition="center" />
              </>
            )}
            <TokenForm plain={!oidc} onEntered={entered} />
          </Stack>
        </Card>
        <Text size="xs" c="dimmed" ta="center">
          {ways.data ? `Version ${ways.data.version} · ` : ""}<Anchor size="xs" href="/api/v1/docs">API reference</Anchor>
        </Text>
      </Stack>
    </Center>
  );
}

function startUrl(start: string): string {
  const { pathname, search } = window.location;
  const back = new URLSearchParams(search);
  back.delete("problem");
  return `${start}?${new URLSearchParams({ return: back.size > 0 ? `${pathname}?${back}` : pathname })}`;
}

function TokenForm({ plain, onEntered }: { plain: boolean; onEntered: () => void }) {
  const queries = useQueryClient();
  const field = useRef<HTMLInputElement>(null);
  const [token, setToken] = useState("");
  const [trouble, setTrouble] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => { if (plain) field.current?.focus(); }, [plain]);

  async function submit(event: FormEvent) {
    event.preventDefault();
    const given = token.trim();
    if (given === "") { setTrouble("Paste a token first."); return; }
    setBusy(true);
    setTrouble(null);
    try {
      const self = await call<SelfOut>("POST", "/api/v1/becket/session", { body: { token: given } });
      onEntered();
      queries.setQueryData(selfQuery.queryKey, self);
    } catch (error) {
      setTrouble(wrong(error));
      setBusy(false);
      requestAnimationFrame(() => field.current?.select());
    }
  }

  return (
    <form onSubmit={(event) => void submit(event)} noValidate>
      <Stack gap="sm">
        <input type="text" name="username" autoComplete="username" value="becket" readOnly hidden />
        <PasswordInput ref={field} size="sm" label="Token" name="token" autoComplete="current-password" value={token}
          onChange={(change) => setToken(change.currentTarget.value)} error={trouble}
          visibilityToggleButtonProps={{ "aria-label": "Show the token" }} />
        <Button type="submit" size="sm" loading={busy} variant={plain ? "filled" : "default"}>Sign in</Button>
        <Text size="xs" c="dimmed">
          The first admin token is printed when the gateway starts for the first time and kept in its data
          folder as <Code fz="xs">admin-token</Code>. Admins make more in the settings.
        </Text>
      </Stack>
    </form>
  );
}

function wrong(error: unknown): string {
  if (error instanceof ApiProblem && error.status === 401) return "This token is not valid here: mistyped, expired or revoked.";
  const { title, todo } = explained(error);
  return `${title} ${todo}`;
}
