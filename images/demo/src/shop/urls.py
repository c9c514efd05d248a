"""The addresses of the shop's web API."""

from django.urls import path

from shop import views
from shop.web import healthz

urlpatterns = [
    path("orders", views.orders),
    path("orders/<int:number>/charge", views.charge),
    path("users/<int:user>/metrics", views.metrics),
    path("photos/<str:photo>/thumbnails", views.thumbnails),
    path("emails", views.emails),
    path("holds", views.holds),
    path("runs/<str:run_id>", views.run),
    path("healthz", healthz),
]
