import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";

import type { Me } from "../api/queries/common";
import { environmentsQuery } from "../api/queries/home";
import { PAGES } from "./pages";

/** The pages that one may see, and whose data this is. */
export function Navigation({ me }: { me: Me }) {
  return (
    <div className="shell-links">
      {PAGES.map((group, place) => (
        <ul key={place}>
          {group.filter((page) => page.may?.(me) ?? true).map((page) => (
            <li key={page.to}>
              <Link to={page.to} activeOptions={{ exact: page.to === "/", includeSearch: false }}>
                <page.icon size={17} stroke={1.6} aria-hidden />{page.label}
              </Link>
            </li>
          ))}
        </ul>
      ))}
      <Environment me={me} />
    </div>
  );
}

function Environment({ me }: { me: Me }) {
  const environments = useQuery({ ...environmentsQuery, enabled: me.operator });
  const own = environments.data?.data.find((one) => one.number === me.environment);
  // With one environment its name says nothing.
  if (me.environment === 1 && !environments.data?.data.length) return null;
  return (
    <p className="shell-environment">
      <span>Environment</span>
      <b className="foreign">{own?.name ?? (me.environment === 1 ? "The first one" : `Number ${me.environment}`)}</b>
    </p>
  );
}
