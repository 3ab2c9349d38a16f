// The pages that can be reached from everywhere, in the order in which they are listed.
import {
  IconActivity, IconApps, IconArrowsSplit2, IconBolt, IconHistory, IconInbox, IconSettings, IconShieldX, IconTags,
} from "@tabler/icons-react";

import type { Me } from "../api/queries/common";

export interface PageLink {
  to: "/" | "/events" | "/sources" | "/endpoints" | "/applications" | "/event-types" | "/quarantine" | "/audit" | "/settings";
  label: string;
  icon: typeof IconBolt;
  /** The key after `g`. */
  key: string;
  /** Whether somebody may see it; everybody if absent. */
  may?: (me: Me) => boolean;
}

export const PAGES: PageLink[][] = [
  [
    { to: "/", label: "Overview", icon: IconActivity, key: "o" },
    { to: "/events", label: "Events", icon: IconBolt, key: "e" },
    { to: "/sources", label: "Sources", icon: IconInbox, key: "s" },
    { to: "/endpoints", label: "Endpoints", icon: IconArrowsSplit2, key: "p" },
  ],
  [
    { to: "/applications", label: "Applications", icon: IconApps, key: "a" },
    { to: "/event-types", label: "Event types", icon: IconTags, key: "t" },
  ],
  [
    { to: "/quarantine", label: "Quarantine", icon: IconShieldX, key: "q" },
    { to: "/audit", label: "Audit log", icon: IconHistory, key: "l", may: (me) => me.admin },
    { to: "/settings", label: "Settings", icon: IconSettings, key: "c" },
  ],
];

/** The pages that somebody may see. */
export const pagesOf = (me: Me): PageLink[] => PAGES.flat().filter((page) => page.may?.(me) ?? true);
