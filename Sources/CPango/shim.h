#pragma once
#include <pango/pangocairo.h>

/// g_object_unref under a name that takes what Pango hands out.
static inline void cpango_unref(void *object) {
  if (object) g_object_unref(object);
}
