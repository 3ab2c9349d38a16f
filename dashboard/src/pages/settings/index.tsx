import { Stack } from "@mantine/core";

import { useSelf } from "../../api/queries/common";
import { Page } from "../../parts/Page";
import { About } from "./About";
import { Environments } from "./Environments";
import { Nodes } from "./Nodes";
import { Operation } from "./Operation";
import { Tokens } from "./Tokens";

/** Who may sign in, whose data there is, and the gateway itself; each part for those who may. */
export function SettingsPage() {
  const me = useSelf();
  return (
    <Page title="Settings">
      <Stack gap="md">
        {me.admin && <Tokens />}
        {me.operator && <Environments />}
        {me.operator && <Nodes />}
        {me.operator && <Operation />}
        <About me={me} />
      </Stack>
    </Page>
  );
}
