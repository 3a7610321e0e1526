/** What a person copies to send events: a tag for browsers, a shell script for servers. */

export const browserSnippet = (host: string, writeKey: string): string =>
  `<script async src="${host}/m.js" data-key="${writeKey}"></script>`

/** OAuth2 client credentials, then one event: curl and sed are everywhere, jq is not. */
export const serverSnippet = (host: string): string => `TOKEN=$(curl -s ${host}/oauth/token \\
  -d grant_type=client_credentials -d client_id="$CLIENT_ID" -d client_secret="$CLIENT_SECRET" |
  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
curl ${host}/v1/events -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{"eventType":"order","timestamp":"'"$(date -u +%FT%TZ)"'","path":"/checkout","data":{"total":42}}'`

/** A query from outside, the same way. */
export const querySnippet = (
  host: string,
  sql: string,
): string => `TOKEN=$(curl -s ${host}/oauth/token \\
  -d grant_type=client_credentials -d client_id="$CLIENT_ID" -d client_secret="$CLIENT_SECRET" |
  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
curl ${host}/v1/query -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '${JSON.stringify({ sql }).replaceAll("'", "'\\''")}'`
