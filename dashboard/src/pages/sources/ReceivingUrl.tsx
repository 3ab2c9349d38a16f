import { Group, Text } from "@mantine/core";

import { CopyButton } from "../../parts/CopyButton";

/** The URL that the provider is given, whole and ready to copy. */
export function ReceivingUrl({ url }: { url: string | null }) {
  if (!url) return <Text c="dimmed">A removed source has no receiving URL.</Text>;
  return (
    <Group gap="xs" align="center">
      <code className="receiving-url">{url}</code>
      <CopyButton value={url} label="Copy the URL" text />
    </Group>
  );
}
