import { Link } from "@tanstack/react-router";

/** What something was done to, as a link where it has a page. */
export function Subject({ text }: { text: string }) {
  const id = /^(msg|ep|src|app)_[A-Za-z0-9]{22,27}$/.exec(text);
  const inner = <span className="mono foreign">{text}</span>;
  switch (id?.[1]) {
    case "msg": return <Link className="link" to="/events/$eventId" params={{ eventId: text }}>{inner}</Link>;
    case "ep": return <Link className="link" to="/endpoints/$endpointId" params={{ endpointId: text }}>{inner}</Link>;
    case "src": return <Link className="link" to="/sources/$sourceId" params={{ sourceId: text }}>{inner}</Link>;
    case "app": return <Link className="link" to="/applications/$applicationId" params={{ applicationId: text }}>{inner}</Link>;
    default: return text === "" ? <>–</> : <span className="foreign">{text}</span>;
  }
}
