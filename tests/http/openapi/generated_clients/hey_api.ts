// Uses what @hey-api/openapi-ts makes of the description.
// Arguments: the URL of a server, an API key, the UUID of a contact with one phone.

import { client } from "./hey_api/client.gen";
import * as api from "./hey_api/sdk.gen";
import type {
  ContactRequest,
  ListRequest,
  ResolveRequest,
  StringIdsChannel,
} from "./hey_api/types.gen";

type Optional<T, K extends keyof T> = undefined extends T[K] ? true : never;

// A key that may be absent must be typed so, and a request must need no key but the required ones.
const handleIsOptional: Optional<StringIdsChannel, "channel_handle"> = true;
const infoIsOptional: Optional<StringIdsChannel, "info_channel"> = true;
const everyContact: ListRequest = {};
const nobody: ContactRequest = { custom: { "1": "x" } };
const sought: ResolveRequest = { channel_id: "15105553344" };

const [url, key, uuid] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl: url, auth: key });
const path = { contactID: uuid };

function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("no data");
  }
  return value;
}

async function main(): Promise<void> {
  const added = await api.contactChannelAdd({
    path,
    body: { channel_type: "email", channel_id: "alice@example.com" },
  });
  const listed = await api.contactChannelListAll({
    path,
    query: { representation: "integer_ids" },
  });
  const replaced = await api.contactChannelReplace({
    path,
    body: { channel_type: "phone", channel_id: "14155551234" },
  });
  const got = await api.contactChannelGet({ path: { ...path, channelType: "phone" } });
  const email = { ...path, channelType: "email" };
  const removed = await api.contactChannelRemove({ path: email });
  const refused = await api.contactChannelGet({ path: email });
  const made = await api.contactCreate({ body: nobody });
  const contacts = await api.contactsPage({ body: everyContact });
  const resolved = await api.resolveOne({ body: sought });
  const team = await api.contactTeam();
  console.log(
    JSON.stringify({
      added: present(added.data).map((one) => one.channel_type),
      listed: present(listed.data).map((one) => typeof one.id),
      replaced: present(replaced.data).map((one) => one.channel_id),
      got: [present(got.data).channel_id, present(got.data).channel_handle ?? "absent"],
      removed: present(removed.data).length,
      refused: present(refused.error).error_code,
      made: present(made.data).custom,
      contacts: present(contacts.data).length,
      resolved: present(resolved.data).created,
      team: present(team.data).members.map((one) => one.name),
      optional: handleIsOptional && infoIsOptional,
    }),
  );
}

void main();
