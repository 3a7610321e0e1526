/** The two tenants of the demo: the visitor's own events, and the generated sample. */
import { computed } from '@preact/signals'
import { session } from '../api/session.ts'

export const ownTenant = computed(() => session.value?.tenants.find((each) => !each.synthetic))

export const sampleTenant = computed(
  () =>
    session.value?.tenants.find((each) => each.tenantId === 'sample') ??
    session.value?.tenants.find((each) => each.synthetic),
)
