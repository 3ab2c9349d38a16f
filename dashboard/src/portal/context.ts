// What every page of the portal knows: whose portal it looks like, who is in, what they may do.
import { createContext, use } from "react";

import type { Brand } from "./brand";
import type { Capability, Who } from "./door";

export const BrandContext = createContext<Brand>({ name: "Webhooks", logo: null, color: null, colorScheme: "auto", supportUrl: null });
export const WhoContext = createContext<Who | null>(null);

export const useBrand = (): Brand => use(BrandContext);

/** What the token may do. A control that may not be used is not shown; the gateway refuses anyway. */
export interface Rights {
  app: string;
  source: boolean;
  manage: boolean;
  seeSecret: boolean;
  rotateSecret: boolean;
  transform: boolean;
  attempt: boolean;
}

export function useRights(): Rights {
  const who = use(WhoContext);
  if (!who) throw new Error("rights are asked for outside of a session");
  const may = (capability: Capability) => who.capabilities.includes(capability);
  return {
    app: who.applicationId,
    source: who.kind === "source",
    manage: may("ManageEndpoint"),
    seeSecret: may("ViewEndpointSecret"),
    rotateSecret: may("ManageEndpointSecret"),
    transform: may("ManageTransformations"),
    attempt: may("CreateAttempts"),
  };
}
