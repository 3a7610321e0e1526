/** The tenants of this login: a choice where there are several, a name where there is one. */
import { chooseTenant, session, tenant } from '../api/session.ts'

export function TenantSwitcher() {
  const tenants = session.value?.tenants ?? []
  if (tenants.length < 2) return <span class="tenant-name">{tenant.value?.name ?? ''}</span>
  return (
    <label class="tenant-switcher">
      <span class="visually-hidden">Tenant</span>
      <select
        value={tenant.value?.tenantId ?? ''}
        onChange={(event) => chooseTenant(event.currentTarget.value)}
      >
        {tenants.map((each) => (
          <option key={each.tenantId} value={each.tenantId}>
            {each.name || each.tenantId}
            {each.synthetic ? ' · synthetic' : ''}
          </option>
        ))}
      </select>
    </label>
  )
}
