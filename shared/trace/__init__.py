"""Trace the money of a Pix through the accounts behind it, hop by hop, as a funds recovery of MED 2.0 does.

Source: DICT, Manual Operacional 8.0, section 20 (Fluxo de Recuperação de Valores).
"""
