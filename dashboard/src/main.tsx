import "./nonce";
import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./style.css";

import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ApiProblem, onSignedOut } from "./api/client";
import { selfQuery } from "./api/queries/common";
import { nonce } from "./nonce";
import { ConfirmHost } from "./parts/Confirm";
import { makeRouter } from "./router";
import { theme, variables } from "./theme";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // What the gateway refuses once it refuses again; what did not arrive may arrive.
      retry: (failures, error) => !(error instanceof ApiProblem) && failures < 3,
      refetchOnWindowFocus: true,
    },
  },
});

// Whatever is asked first after the session has ended: the shell then asks who is there.
onSignedOut(() => queries.setQueryData(selfQuery.queryKey, null));

const router = makeRouter();

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
        <QueryClientProvider client={queries}>
          <RouterProvider router={router} />
          <Notifications position="bottom-right" limit={4} />
          <ConfirmHost />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
