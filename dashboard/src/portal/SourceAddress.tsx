import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { use } from "react";

import { CodeBlock } from "../parts/CodeBlock";
import { WhoContext } from "./context";
import { aboutQuery } from "./queries";

/** The URL that a source's sender sends to. */
export function SourceAddress() {
  const who = use(WhoContext);
  const about = useQuery({ ...aboutQuery(who as NonNullable<typeof who>), enabled: who !== null });
  if (!about.data?.ingestUrl) return null;
  return (
    <div>
      <Text mb={4}>Webhooks are received at this URL. Everything that arrives here and is genuine goes to the endpoints below.</Text>
      <CodeBlock text={about.data.ingestUrl} copyLabel="Copy the receiving URL" wrap />
    </div>
  );
}
