"""Capacity planning: resources and cost at a volume of Pix, the first quota to bind, and a simulated day.

python -m infra.capacity --help
"""
