// What is shown to somebody who is not in, or not any more: why, and what to do.
import { Anchor, Button, Group, Modal, Stack, Text, Title } from "@mantine/core";
import { IconClockOff, IconDoorExit, IconLinkOff, IconPlugConnectedX } from "@tabler/icons-react";
import { useEffect, type ReactNode } from "react";

import { useBrand } from "./context";
import { Logo } from "./Logo";
import type { Refusal } from "./session";

interface Words {
  icon: ReactNode;
  title: string;
  text: string;
}

const SIZE = { size: 34, stroke: 1.5, "aria-hidden": true } as const;

const WORDS: Record<Refusal, Words> = {
  "no-link": {
    icon: <IconLinkOff {...SIZE} />, title: "This page opens with a link",
    text: "You get the link from the service whose webhooks you receive. Go back there and open its webhook settings again.",
  },
  "link-used": {
    icon: <IconClockOff {...SIZE} />, title: "This link no longer works",
    text: "A link works once and for a limited time, so that nobody else can use it. Go back to where you got it and open a new one.",
  },
  "not-portal": {
    icon: <IconLinkOff {...SIZE} />, title: "This link does not belong here",
    text: "Its token is not one for this page. Go back to where you got the link and ask for a new one.",
  },
  "too-many": {
    icon: <IconClockOff {...SIZE} />, title: "Too many attempts",
    text: "Several links from your network did not work just now. Wait a minute, then try again.",
  },
  unreachable: {
    icon: <IconPlugConnectedX {...SIZE} />, title: "The server cannot be reached",
    text: "Your link has not been used up by this. Check your connection and try again.",
  },
  left: {
    icon: <IconDoorExit {...SIZE} />, title: "You have signed out",
    text: "Your access on this device has ended. To come back, open a new link.",
  },
};

/** The whole page when nobody is in. */
export function Refused({ why, retry }: { why: Refusal; retry: (() => void) | null }) {
  const brand = useBrand();
  const words = WORDS[why];
  useEffect(() => { document.title = `${words.title} · ${brand.name}`; }, [words.title, brand.name]);
  return (
    <main className="door">
      <Stack align="center" gap="sm" maw={440} mx="auto" ta="center">
        <Logo />
        <div className="door-icon">{words.icon}</div>
        <Title order={1}>{words.title}</Title>
        <Text c="dimmed" size="md">{words.text}</Text>
        <Group justify="center">
          {retry && <Button size="sm" onClick={retry}>Try again</Button>}
          <Support />
        </Group>
      </Stack>
    </main>
  );
}

/** Lies over the page when the session ends in the middle of work: what was typed stays readable. */
export function Ended({ why }: { why: Refusal | null }) {
  const brand = useBrand();
  return (
    <Modal opened onClose={() => undefined} withCloseButton={false} closeOnEscape={false} closeOnClickOutside={false}
      title={<Text fw={600} size="md" span>Your session has ended</Text>} overlayProps={{ backgroundOpacity: 0.4 }}>
      <Stack gap="sm">
        <Text>Access is given for a limited time, and yours is over. Go back to {brand.name} and open a new link.</Text>
        <Text c="dimmed">
          Nothing that you saved is lost. What you typed since is still on this page: a new link that is opened in
          this tab goes on right here.
        </Text>
        {why && <Text role="alert" c="red">{WORDS[why].title}. {WORDS[why].text}</Text>}
        <Support />
      </Stack>
    </Modal>
  );
}

/** Where the operator helps, if they say so. */
export function Support() {
  const { supportUrl } = useBrand();
  if (!supportUrl) return null;
  return <Anchor href={supportUrl} target="_blank" rel="noopener noreferrer">Get help</Anchor>;
}
