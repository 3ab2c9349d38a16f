// How a receiver proves that a request is genuine, in the languages that receivers are written in.
import { NativeSelect, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { CodeBlock } from "../parts/CodeBlock";
import { SNIPPETS } from "./snippets";

let remembered = SNIPPETS[0]?.name ?? "";

export function VerifyGuide() {
  const [name, setName] = useState(remembered);
  const snippet = SNIPPETS.find((one) => one.name === name) ?? SNIPPETS[0];
  if (!snippet) return null;
  return (
    <Stack gap="sm">
      <Text>
        Every request carries three headers: <code>webhook-id</code>, the same each time an event is sent;{" "}
        <code>webhook-timestamp</code>, when this attempt was made; and <code>webhook-signature</code>. Verify before you
        believe anything that a request says. This code needs no library; the secret comes from{" "}
        <code>WEBHOOK_SECRET</code> in the environment.
      </Text>
      <NativeSelect label="Language" size="sm" maw={240} data={SNIPPETS.map((one) => one.name)} value={snippet.name}
        onChange={(event) => { remembered = event.currentTarget.value; setName(remembered); }} />
      <CodeBlock language={snippet.name} text={snippet.code} copyLabel={`Copy the ${snippet.name} code`} />
      <ul className="advice">
        <li><b>Verify the bytes that you received.</b> JSON that was parsed and written again has another signature.</li>
        <li><b>Expect repeats.</b> An event can arrive twice; keep the <code>webhook-id</code>s that you have acted on for some days.</li>
        <li><b>Answer quickly</b> with a 2xx status, within 15 seconds, and do the work afterwards. Anything else, a redirect too, counts as a failure and is tried again.</li>
        <li><b>While a secret is rotated</b> a request carries two signatures, separated by a space; one that fits is enough, as the code above has it.</li>
      </ul>
      <Text size="xs" c="dimmed">
        This is the Standard Webhooks scheme; its libraries for many languages verify these requests too. A secret that begins
        with <code>whpk_</code> is a public key (Ed25519): then use one of those libraries.
      </Text>
    </Stack>
  );
}
